"""Small catalogues with known links, of many sources: what link weights are fitted to and judged by.

Three kinds of known links: the gold links of ../shared/data/gold_edges; links that the paths of REST
operations tell (what ``/pets`` lists or creates feeds the ``{petId}`` of every path under
``/pets/{petId}``), whatever names and texts say; and links read off the documentation, in read_links.txt.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from benchmarks.bench_graph import GOLD, SHARED, read_tools
from toolflow.catalog.tool import Tool
from toolflow.graph.scoring import read_gold, tools_of

LEAST_TOOLS, MOST_TOOLS = 28, 139
"""The sizes of catalogues that are judged."""

_READ = Path(__file__).parent / "read_links.txt"
_SUBSETS = 4
_OF_ONE_HOST = 3
_PATHS = 48
_LEAST_PAIRS = 12


@dataclass(frozen=True, slots=True, eq=False)
class KnownLinks:
    """A catalogue and the links that are known in it.

    Attributes:
        name: What it is called in records.
        source: Where catalogue and links are from; a source is left out as a whole.
        tools: The catalogue.
        pairs: Indices of producer and consumer, distinct, sorted.
    """

    name: str
    source: str
    tools: tuple[Tool, ...]
    pairs: tuple[tuple[int, int], ...]


def known_links() -> Iterator[KnownLinks]:
    """All catalogues that the shared data allow."""
    yield from gold_catalogues()
    yield from read_catalogues()
    yield from path_catalogues()


def gold_catalogues() -> Iterator[KnownLinks]:
    """The gold links: among their own tools, and in catalogues of the sizes that are judged."""
    for source in GOLD:
        path, tools = SHARED / "gold_edges" / f"{source}.jsonl", _tools(GOLD[source])
        if source == "tau_bench":
            # Its links are those of the airline, by the names that its tools have there.
            tools = tuple(
                replace(tool, name=str(tool.source_id).rpartition("/")[2])
                for tool in tools
                if tool.category == "airline"
            )
        mine = tools_of(path, tools)
        yield _known(f"{source}, gold tools", source, mine, read_gold(path, mine).pairs)
        if source in {"sgd", "restbench", "taskbench"}:
            kept = tuple(tool for tool in tools if tool.category != "dailylifeapis")
            yield _known(f"{source}, all tools", source, kept, read_gold(path, kept).pairs)
        elif source == "tau_bench":
            retail = [tool for tool in _tools(GOLD[source]) if tool.category == "retail"]
            pairs = read_gold(path, tools).pairs
            yield _known("tau_bench, airline and retail", source, _named_apart([*tools, *retail]), pairs)
        elif source == "bfcl_multi_turn":
            kept = tuple(tool for tool in tools if str(tool.category).startswith("multi_turn/"))[:MOST_TOOLS]
            yield _known("bfcl_multi_turn, all tools", source, kept, read_gold(path, kept).pairs)
        else:
            for number in range(_SUBSETS):
                rng = random.Random(f"{source} {number}")
                subset = _around(path, tools, rng)
                yield _known(f"{source}, {number + 1}", source, subset, read_gold(path, subset).pairs)


def _named_apart(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    known: set[str] = set()
    apart: list[Tool] = []
    for tool in tools:
        name = f"{tool.name}_2" if tool.name in known else tool.name
        known.add(name)
        apart.append(replace(tool, name=name))
    return tuple(apart)


def _around(path: Path, tools: Sequence[Tool], rng: random.Random) -> tuple[Tool, ...]:
    """Gold tools, whole components of them, with others of their categories to fill up."""
    pairs = list(read_gold(path, tools).pairs)
    rng.shuffle(pairs)
    size = rng.randint(60, MOST_TOOLS)
    chosen: set[int] = set()
    for pair in pairs:
        if len(chosen | set(pair)) <= size * 0.6:
            chosen |= set(pair)
    categories = {tools[index].category for index in chosen}
    near = [index for index, tool in enumerate(tools) if index not in chosen and tool.category in categories]
    chosen |= set(rng.sample(near, min(len(near), size - len(chosen))))
    return tuple(tools[index] for index in sorted(chosen))


def read_catalogues() -> Iterator[KnownLinks]:
    """The links of read_links.txt."""
    for file, category, rules in _read_rules():
        tools = tuple(tool for tool in _tools(file) if fnmatchcase(str(tool.category), category))
        pairs: set[tuple[int, int]] = set()
        for left, right in rules:
            pairs |= {
                (producer, consumer)
                for producer, giving in enumerate(tools)
                for consumer, taking in enumerate(tools)
                if producer != consumer
                and _named(giving, left)
                and _named(taking, right)
                # Two services of one name, such as the two memories of BFCL, are not mixed.
                and (giving.category == taking.category or not category.endswith("/*"))
            }
        takers = {index for index, tool in enumerate(tools) if tool.parameters.get("properties")}
        source = "read: " + (category if "*" not in category else file.split(".")[0])
        yield _known(source, source, tools, tuple(sorted(pair for pair in pairs if pair[1] in takers)))


def _named(tool: Tool, patterns: Sequence[str]) -> bool:
    name = tool.name
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _read_rules() -> Iterator[tuple[str, str, list[tuple[list[str], list[str]]]]]:
    file, category, rules = "", "", list[tuple[list[str], list[str]]]()
    for line in [*_READ.read_text().splitlines(), "[] "]:
        if line.startswith("["):
            if rules:
                yield file, category, rules
            file, _, category = (part.strip() for part in line[1:].partition("]"))
            rules = []
        elif "->" in line:
            left, _, right = line.partition("->")
            rules.append((left.split(), right.split()))


def path_catalogues() -> Iterator[KnownLinks]:
    """What the paths of REST operations tell."""
    documents: dict[str, list[Tool]] = defaultdict(list)
    for tool in _tools("openapi_directory.jsonl.gz"):
        documents[str(tool.source_id).partition("#")[0]].append(tool)
    hosts: dict[str, int] = defaultdict(int)
    rng = random.Random(0)
    names = sorted(documents)
    rng.shuffle(names)
    found = 0
    for name in names:
        tools = documents[name]
        host = name.partition("/")[0]
        if len(tools) < LEAST_TOOLS or hosts[host] >= _OF_ONE_HOST:
            continue
        if len(tools) > MOST_TOOLS:
            tools = _parts_of_paths(tools, rng)
        pairs = path_links(tools)
        if len(pairs) >= _LEAST_PAIRS:
            hosts[host] += 1
            found += 1
            yield _known(f"paths: {name}", "paths", tuple(tools), pairs)
        if found == _PATHS:
            return


def _parts_of_paths(tools: Sequence[Tool], rng: random.Random) -> list[Tool]:
    """Operations whose paths begin alike, whole groups until the size is reached."""
    groups: dict[str, list[Tool]] = defaultdict(list)
    for tool in tools:
        groups["/".join([part for part in _path(tool) if "{" not in part][:3])].append(tool)
    order = sorted(groups)
    rng.shuffle(order)
    size, chosen = rng.randint(LEAST_TOOLS, MOST_TOOLS), list[Tool]()
    for name in order:
        if len(chosen) + len(groups[name]) <= size:
            chosen += groups[name]
    return chosen


def path_links(tools: Sequence[Tool]) -> tuple[tuple[int, int], ...]:
    """Which operations give what stands in the paths of others."""
    collections: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, tool in enumerate(tools):
        creates = " POST " in f" {_method(tool)} " and tool.returns is not None
        if _method(tool) == "GET" or creates:
            collections[_path(tool)].append(index)
    pairs: set[tuple[int, int]] = set()
    for index, tool in enumerate(tools):
        path = _path(tool)
        for place, part in enumerate(path):
            if part == "{}" and place and path[place - 1] != "{}":
                pairs |= {(producer, index) for producer in collections.get(path[:place], ())}
    return tuple(sorted(pair for pair in pairs if pair[0] != pair[1]))


def _method(tool: Tool) -> str:
    return str(tool.source_id).partition("#")[2].partition(" ")[0]


@cache
def _path_of(source_id: str) -> tuple[str, ...]:
    path = source_id.partition("#")[2].partition(" ")[2]
    return tuple(re.sub(r"^\{[^{}]*\}$", "{}", part) for part in path.strip("/").split("/"))


def _path(tool: Tool) -> tuple[str, ...]:
    return _path_of(str(tool.source_id))


def _known(name: str, source: str, tools: Sequence[Tool], pairs: Sequence[tuple[int, int]]) -> KnownLinks:
    return KnownLinks(name, source, tuple(tools), tuple(pairs))


@cache
def _tools(file: str) -> tuple[Tool, ...]:
    return read_tools([str(SHARED / "tools" / file)])
