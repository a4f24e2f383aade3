"""``toolflow graph sample`` and ``plot``: tool sets and pictures."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from toolflow.cli.options.draws import SamplerKind, Seed
from toolflow.cli.options.graphs import GraphFile, Origin, check_order
from toolflow.cli.options.output import AsJson, check_output, print_json
from toolflow.cli.options.spread import spread
from toolflow.errors import UsageError


class ShapeKind(StrEnum):
    """How the tools of a set hang together."""

    walk = "walk"
    chain = "chain"
    fan_out = "fan-out"
    merge = "merge"


@spread
def sample(
    graph_file: GraphFile = None,
    *,
    n: Annotated[int, typer.Option("-n", min=1, metavar="N", help="How many tool sets.")] = 5,
    seed: Seed = 0,
    sampler: Annotated[SamplerKind, typer.Option(help="Draw related tools, or any.")] = SamplerKind.graph,
    fewest: Annotated[int, typer.Option(min=1, metavar="N", help="Fewest tools in a set.")] = 3,
    most: Annotated[int, typer.Option(min=1, metavar="N", help="Most tools in a set.")] = 7,
    shape: Annotated[
        ShapeKind | None,
        typer.Option(
            help="Draw sets in one shape only, as far as the links give it.",
            show_default="all, mixed",
        ),
    ] = None,
    distractors: Annotated[
        int, typer.Option(min=0, metavar="N", help="Unrelated tools to offer beside each set.")
    ] = 0,
    origin: Origin,
    as_json: AsJson = False,
) -> None:
    """Draw tool sets, as a run would for its dialogues.

    With --json, one object a line: its number, shape, tools, the links that join them, and distractors.
    """
    from toolflow.graph.sampling.sampler import GraphSampler, Sampler, SizeRange, UniformSampler
    from toolflow.graph.sampling.shapes import ShapeWeights

    if shape is not None and sampler is SamplerKind.random:
        raise UsageError("random tool sets have no shape", hint="Leave out --shape or --sampler random.")
    sizes, beside = SizeRange(fewest, most), SizeRange(distractors, distractors)
    graph = origin.graph(graph_file)
    drawer: Sampler
    if sampler is SamplerKind.random:
        drawer = UniformSampler(graph.tools, seed, sizes=sizes, distractors=beside, graph=graph)
    else:
        shapes = ShapeWeights() if shape is None else ShapeWeights.only(shape.value)
        drawer = GraphSampler(graph, seed, sizes=sizes, shapes=shapes, distractors=beside)
    for index in range(n):
        tool_set = drawer.sample(index)
        if as_json:
            print_json({"index": index, **tool_set.to_json()})
        else:
            from toolflow.cli.graph_print import print_tool_set

            print_tool_set(index, tool_set)


@spread
def plot(
    tool: Annotated[
        str | None,
        typer.Argument(
            metavar="TOOL",
            help="Name of the tool in the middle; leave it out to draw a tool set.",
            show_default=False,
        ),
    ] = None,
    graph_file: GraphFile = None,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="HTML page to write.")
    ] = Path("graph.html"),
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Draw the first tool set of a run of this seed instead of a tool.",
            show_default="0 where no TOOL is named",
        ),
    ] = None,
    depth: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many links away from the tool to go.")
    ] = 1,
    most: Annotated[int, typer.Option(min=2, max=200, metavar="N", help="Most tools in the picture.")] = 40,
    origin: Origin,
) -> None:
    """Draw a tool and what it is linked to, or a tool set, as a page that any browser shows.

    The page needs no network. Point at a line to see which fields it joins.
    """
    from toolflow.graph.plot import neighbourhood, picture_of_set
    from toolflow.graph.plot_page import write_page
    from toolflow.graph.sampling.sampler import GraphSampler

    check_output(output)
    if tool is not None and graph_file is None and Path(tool).is_file():
        graph_file, tool = Path(tool), None  # no tool was named, a graph was
    if tool is not None and seed is not None:
        raise UsageError("a tool and a seed were both given", hint="Leave out one of them.")
    if tool is not None:
        check_order(tool, graph_file)
    graph = origin.graph(graph_file)
    if tool is not None:
        picture = neighbourhood(graph, tool, depth=depth, most=most)
    else:
        drawn = GraphSampler(graph, seed or 0).sample(0)
        picture = picture_of_set(drawn, f"The first tool set of seed {seed or 0}")
    write_page(picture, output)
    typer.echo(f"{len(picture.tools):,} tools drawn to {output}")
