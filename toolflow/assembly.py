"""Puts together what a run is made from: its catalogue, sampler, prompts and troupe."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import toolflow
from toolflow.agents.cast import Troupe
from toolflow.agents.prompts import PromptRole, Prompts
from toolflow.agents.voice import RoleModel
from toolflow.catalog.catalogue import Catalogue, canonical_line
from toolflow.catalog.load import load_wanted
from toolflow.config import RunConfig
from toolflow.errors import UsageError
from toolflow.folders import cache_folder
from toolflow.graph.sampling.sampler import Sampler
from toolflow.journal.run_record import CATALOGUE, GRAPH, Inputs
from toolflow.llm.chat import ChatModel, Sampling, ToolCallStyle
from toolflow.llm.connect import Connection, access_of

if TYPE_CHECKING:
    from toolflow.graph.graph import ToolGraph

GraphProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Material:
    """What a run is made from, read before any call.

    Attributes:
        catalogue: The tools.
        sampler: Draws tool sets from them.
        graph: The graph that they are drawn from; None where catalogue and settings give it.
        prompts: The templates.
        notices: What the user should know, a sentence each.
    """

    catalogue: Catalogue
    sampler: Sampler
    graph: ToolGraph | None
    prompts: Prompts
    notices: tuple[str, ...]

    def inputs(self) -> Inputs:
        """Catalogue, prompts and graph as files, for the run directory."""
        lines = b"".join(map(canonical_line, self.catalogue.tools))
        prompts = {f"{role}.j2": source.encode() for role, source in self.prompts.sources.items()}
        graph = {} if self.graph is None else {GRAPH: self.graph.encode()}
        return {CATALOGUE: gzip.compress(lines, mtime=0), **prompts, **graph}


def read_material(config: RunConfig, progress: GraphProgress | None = None) -> Material:
    """Read catalogue and prompts, read or build the graph.

    Args:
        config: The run's configuration.
        progress: Called while a graph is built: with the stage, how much of it is done, and of how much.

    Raises:
        CatalogueError: The catalogue cannot be read.
        GraphError: The graph cannot be read or built.
        LLMError: The encoder's endpoint failed.
        UsageError: The prompts cannot be used, there is no such encoder, or the graph is of other tools.
    """
    prompts = Prompts(config.prompts)
    if config.sampler.kind == "random":
        catalogue, notices = _read_catalogue(config)
        return Material(catalogue, _uniform_sampler(config, catalogue), None, prompts, notices)
    if config.sampler.graph is None:
        catalogue, notices = _read_catalogue(config)
        graph, told = _build_graph(config, catalogue, progress)
        notices += told
        kept = None if config.sampler.encoder is None else graph
    else:
        graph, notices = _read_graph(config, config.sampler.graph)
        catalogue = Catalogue(graph.tools)
        kept = graph
    return Material(catalogue, _graph_sampler(config, graph), kept, prompts, notices)


def _read_catalogue(config: RunConfig) -> tuple[Catalogue, tuple[str, ...]]:
    return load_wanted(config.tools, skip_invalid=config.skip_invalid, limit=config.limit_tools)


def _read_graph(config: RunConfig, file: str) -> tuple[ToolGraph, tuple[str, ...]]:
    """The graph of a file, which must be of the catalogue's tools; without a catalogue its own are used."""
    from toolflow.graph.graph import ToolGraph  # noqa: PLC0415  numpy loads when it is needed

    if not config.tools:
        graph = ToolGraph.load(file)
        return graph, (f"No --tools given: using the {len(graph):,} tools of the graph.",)
    catalogue, notices = _read_catalogue(config)
    graph = ToolGraph.load(file, catalogue)
    if graph.content_hash != catalogue.content_hash:
        shared = sum(tool.name in catalogue for tool in graph.tools)
        raise UsageError(
            f"{file}: a graph of another catalogue: it holds {len(graph):,} tools, the catalogue "
            f"{len(catalogue):,}, and {shared:,} names are in both",
            hint="Leave out --tools to use the graph's own, or build it of the same catalogues with the same "
            "--limit-tools and --skip-invalid: toolflow graph build",
        )
    return graph, notices


def _build_graph(
    config: RunConfig, catalogue: Catalogue, progress: GraphProgress | None
) -> tuple[ToolGraph, tuple[str, ...]]:
    from toolflow.curation.encoders import make_encoder, uncalibrated  # noqa: PLC0415
    from toolflow.graph.cache import cached_graph  # noqa: PLC0415

    settings = config.sampler
    encoder = make_encoder(settings.encoder, os.environ, access_of(config))
    guessed = uncalibrated(settings.encoder, encoder) if settings.threshold is None else None
    graph = cached_graph(catalogue, encoder, cache_folder(), threshold=settings.threshold, progress=progress)
    return graph, () if guessed is None else (guessed,)


def _graph_sampler(config: RunConfig, graph: ToolGraph) -> Sampler:
    from toolflow.graph.sampling.sampler import GraphSampler, SizeRange  # noqa: PLC0415
    from toolflow.graph.sampling.shapes import ShapeWeights  # noqa: PLC0415

    settings = config.sampler
    return GraphSampler(
        graph,
        config.seed,
        sizes=SizeRange(settings.fewest_tools, settings.most_tools, settings.size_weights),
        shapes=ShapeWeights(**settings.shapes.model_dump()),
        distractors=SizeRange(settings.fewest_distractors, settings.most_distractors),
    )


def _uniform_sampler(config: RunConfig, catalogue: Catalogue) -> Sampler:
    from toolflow.graph.sampling.sampler import SizeRange, UniformSampler  # noqa: PLC0415

    settings = config.sampler
    return UniformSampler(
        catalogue.tools,
        config.seed,
        sizes=SizeRange(settings.fewest_tools, settings.most_tools, settings.size_weights),
        distractors=SizeRange(settings.fewest_distractors, settings.most_distractors),
    )


def make_troupe(
    config: RunConfig, material: Material, model: ChatModel, default: str, style: ToolCallStyle
) -> Troupe:
    """What every dialogue of a run is played with.

    Args:
        config: The run's.
        material: What it is made from.
        model: Answers the agents' requests.
        default: Name of the model of roles that name none.
        style: How the assistant calls tools.
    """
    roles: dict[PromptRole, tuple[RoleModel, ...]] = {
        role: _role_models(config, role, default) for role in material.prompts.hashes
    }
    return Troupe(model, material.prompts, roles, style, config.dialogue, config.seed)


def labels(*, rehearsal: bool) -> dict[str, Any]:
    """Metadata that every dialogue of a run carries."""
    return {"rehearsal": True} if rehearsal else {}


def _role_models(config: RunConfig, role: str, default: str) -> tuple[RoleModel, ...]:
    settings = dict(config.roles.items())[role]
    sampling = Sampling(settings.temperature, settings.top_p, settings.max_tokens)
    return tuple(RoleModel(name, sampling) for name in settings.models or (default,))


def describe(
    config: RunConfig, material: Material, connection: Connection
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fingerprint of the run, and the facts about it that may change."""
    fingerprint = {
        **config.what(),
        "model": connection.model,
        "tool_calls": connection.tool_calls,
        "catalogue": {"tools": len(material.catalogue.tools), "hash": material.catalogue.content_hash},
        "prompts": material.prompts.hashes,
    }
    if material.graph is not None:
        fingerprint["graph"] = {"encoder": material.graph.encoder}
        if config.sampler.graph is not None:
            fingerprint["graph"]["hash"] = material.graph.links_hash
    facts = {
        "toolflow": toolflow.__version__,
        "rehearsal": connection.rehearsal,
        "config": config.model_dump(mode="json"),
    }
    return fingerprint, facts
