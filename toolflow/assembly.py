"""Puts together what a run is made from: its catalogue, sampler, prompts and troupe."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import Any

import toolflow
from toolflow.agents.cast import Troupe
from toolflow.agents.prompts import PromptRole, Prompts
from toolflow.agents.voice import RoleModel
from toolflow.catalog.catalogue import Catalogue, canonical_line
from toolflow.catalog.load import load_catalogue, load_sample
from toolflow.config import RunConfig
from toolflow.folders import cache_folder
from toolflow.graph.sampling import Sampler
from toolflow.journal.run_record import CATALOGUE, Inputs
from toolflow.llm.chat import ChatModel, Sampling, ToolCallStyle
from toolflow.llm.connect import Connection


@dataclass(frozen=True, slots=True)
class Material:
    """What a run is made from, read before any call.

    Attributes:
        catalogue: The tools.
        sampler: Draws tool sets from them.
        prompts: The templates.
        notices: What the user should know, a sentence each.
    """

    catalogue: Catalogue
    sampler: Sampler
    prompts: Prompts
    notices: tuple[str, ...]

    def inputs(self) -> Inputs:
        """Catalogue and prompts as files, for the run directory."""
        lines = b"".join(map(canonical_line, self.catalogue.tools))
        prompts = {f"{role}.j2": source.encode() for role, source in self.prompts.sources.items()}
        return {CATALOGUE: gzip.compress(lines, mtime=0), **prompts}


def read_material(config: RunConfig) -> Material:
    """Read catalogue and prompts, build the graph or take it from the cache.

    Raises:
        CatalogueError: The catalogue cannot be read.
        GraphError: The graph cannot be built.
        UsageError: The prompts cannot be used.
    """
    prompts = Prompts(config.prompts)
    catalogue, notices = _read_catalogue(config)
    return Material(catalogue, _make_sampler(config, catalogue), prompts, tuple(notices))


def _read_catalogue(config: RunConfig) -> tuple[Catalogue, list[str]]:
    if not config.tools:
        catalogue = load_sample()
        size = len(catalogue.tools)
        return catalogue, [f"No --tools given: using the {size} tools of the sample catalogue."]
    report = load_catalogue(config.tools, skip_invalid=config.skip_invalid, limit=config.limit_tools)
    notices = [f"{len(report.skipped)} wrong catalogue entries were left out."] if report.skipped else []
    return report.catalogue, notices


def _make_sampler(config: RunConfig, catalogue: Catalogue) -> Sampler:
    from toolflow.graph.sampling import (  # noqa: PLC0415  numpy and the encoder load when they are needed
        GraphSampler,
        SizeRange,
        UniformSampler,
    )
    from toolflow.graph.shapes import ShapeWeights  # noqa: PLC0415

    settings = config.sampler
    sizes = SizeRange(settings.fewest_tools, settings.most_tools, settings.size_weights)
    distractors = SizeRange(settings.fewest_distractors, settings.most_distractors)
    if settings.kind == "random":
        return UniformSampler(catalogue.tools, config.seed, sizes=sizes, distractors=distractors)
    from toolflow.graph.cache import cached_graph  # noqa: PLC0415
    from toolflow.graph.encoder import WordLlamaEncoder  # noqa: PLC0415

    graph = cached_graph(catalogue.tools, WordLlamaEncoder(), cache_folder(), threshold=settings.threshold)
    shapes = ShapeWeights(**settings.shapes.model_dump())
    return GraphSampler(graph, config.seed, sizes=sizes, shapes=shapes, distractors=distractors)


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
    facts = {
        "toolflow": toolflow.__version__,
        "rehearsal": connection.rehearsal,
        "config": config.model_dump(mode="json"),
    }
    return fingerprint, facts
