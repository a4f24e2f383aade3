"""What tells that one tool feeds another: the evidence that the link weights of small catalogues add up.

Most of it is about a producer and one parameter: can this tool give what that parameter asks for? The rest is
about two tools. :mod:`toolflow.graph.linking.likelihood` adds it up.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolflow.catalog.tool import Tool
from toolflow.graph.encoder import Encoder, encode_texts
from toolflow.graph.linking.closest_texts import NO_FIELDS, ClosestTexts
from toolflow.graph.linking.field_table import Floats, Ints
from toolflow.graph.linking.fields import ANY_TYPE, Field, bare_types
from toolflow.graph.linking.joining import Closeness
from toolflow.graph.linking.naming import own_names, subjects
from toolflow.graph.linking.telling import changes, content, deeds_of, gives_nothing, result_text, variants
from toolflow.graph.linking.vocabulary import BOILERPLATE, LOCAL, NAMELESS, Name, is_credential

LEAST_COSINE: Final = -0.2
"""Texts less alike than that tell no more by it; fields that cannot join count as that unlike."""

_BOILERPLATE = 0.6
_SUBJECTS = 2


class Side(NamedTuple):
    """The fields of one side of all tools, tool by tool."""

    fields: Sequence[Field]
    tool: Ints


def one_side(fields_of_tools: Sequence[Sequence[Field]]) -> Side:
    """The fields of all tools as one list."""
    counts = [len(fields) for fields in fields_of_tools]
    tool = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return Side([field for fields in fields_of_tools for field in fields], tool)


class Evidence:
    """What tells which tools of a catalogue feed which parameters and tools.

    Matrices come one at a time and are about some producers only, as each may take 100 MB.

    Args:
        tools: The catalogue.
        parameters: Their parameters; at least one.
        returns: Their returns.
        closeness: How close the tools are.
        encoder: Encodes the fields.
        producers: Which tools it is about as producers; all if None.

    Attributes:
        given: Index of the producer's field that is likest each parameter, -1 where none can join, shape
            (producers, parameters).
        named: 1 where that field goes by the parameter's name, shape (producers, parameters).
        alike: How alike both are, a cosine, shape (producers, parameters).
        closest: Cosine of the closest fields of two tools, whatever their types, shape (producers, tools).
        known: 1 where a producer takes a parameter of that name itself, shape (producers, parameters).
        idle: Where a producer is known to give nothing, shape (producers,).
        untold: Where no field tells what a producer gives, shape (producers,).
        barred: Where nothing in a producer's result can be a parameter, by its type, shape (producers,
            parameters).
        plain: Where a parameter is boilerplate, shape (parameters,).
        local: Where a parameter's values belong to one service, shape (parameters,).
        given_local: Where a return's do, shape (returns,).
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        parameters: Side,
        returns: Side,
        closeness: Closeness,
        encoder: Encoder,
        *,
        producers: range | None = None,
    ) -> None:
        self._tools, self._parameters, self._closeness = tools, parameters, closeness
        self._returns = returns
        self._taken = [own_names(field)[0] for field in parameters.fields]
        self._about = [subjects(tool.name)[:_SUBJECTS] for tool in tools]
        self._credential = np.array([is_credential(name) for name in self._taken], dtype=np.bool_)
        self._types = _types(parameters.fields)
        self._bare = np.array([bare_types(tool) for tool in tools], dtype=np.uint8)
        self._required = np.array([field.required for field in parameters.fields], dtype=np.float32)
        self._vectors = encode_texts(encoder, _texts(parameters.fields, self._taken))
        self._given_names = [own_names(field)[0] for field in returns.fields]
        # All texts at once: an encoder may be an endpoint, and need not bear several threads.
        self._given_vectors = encode_texts(encoder, _texts(returns.fields, self._given_names))
        self._told = encode_texts(encoder, [result_text(tool) for tool in tools])
        self.plain: NDArray[np.bool_] = np.array([name in BOILERPLATE for name in self._taken])
        self.local: NDArray[np.bool_] = np.array([name[-1] in LOCAL for name in self._taken])
        self.given_local = np.array([name[-1] in LOCAL for name in self._given_names], dtype=np.bool_)
        self._words = [content(tool.name) for tool in tools]
        self._tools_of_word = Counter(word for words in self._words for word in words)
        self._deeds = deeds_of(tools)
        self._sources = self._count_sources()
        self._closest = ClosestTexts(
            self._given_vectors, returns.tool, self._vectors, parameters.tool, len(tools)
        )
        self._about_producers(range(len(tools)) if producers is None else producers)

    def of(self, producers: range) -> Evidence:
        """The same about other producers, of which there is at least one."""
        other = copy(self)
        other._about_producers(producers)  # noqa: SLF001  its own kind
        return other

    def _about_producers(self, producers: range) -> None:
        self._producers = producers
        low, high = np.searchsorted(self._returns.tool, [producers.start, producers.stop]).tolist()
        self._first = low
        returns = Side(self._returns.fields[low:high], self._returns.tool[low:high] - producers.start)
        names = self._given_names[low:high]
        mine = slice(producers.start, producers.stop)
        self.barred: NDArray[np.bool_] = (self._bare[mine, None] & self._types[None, :]) == 0
        self.known: Floats = self._takes()
        self.given, self.alike, self.closest = self._likest(returns, names)
        self.named: Floats = self._same_name(returns, names)
        telling = {
            tool for name, tool in zip(names, returns.tool.tolist(), strict=True) if name not in BOILERPLATE
        }
        starts = np.searchsorted(returns.tool, np.arange(len(producers) + 1)).tolist()
        self.idle: NDArray[np.bool_] = np.array(
            [
                gives_nothing(self._tools[tool], returns.fields[begin:end])
                for tool, begin, end in zip(producers, starts[:-1], starts[1:], strict=True)
            ],
            dtype=np.bool_,
        )
        self.untold: NDArray[np.bool_] = ~np.isin(np.arange(len(producers)), sorted(telling)) & ~self.idle

    def of_parameters(self) -> Iterator[tuple[str, Floats]]:
        """What tells that a tool gives what a parameter asks for: matrices (producers, parameters), named."""
        yield "alike", self.alike
        yield "named", self.named
        mine = slice(self._producers.start, self._producers.stop)
        yield "told", np.maximum(self._told[mine] @ self._vectors.T, LEAST_COSINE)
        yield "about", self._words_in()
        yield "optional", np.repeat(1 - self._required[None, :], len(self._producers), axis=0)
        # What a tool takes itself, its caller knew before.
        new = self.named * (1 - self.known)
        # The fewer tools give what must be given, the surer each of them is the one.
        yield "only source", new * (self._required / np.sqrt(np.maximum(1, self._sources))).astype(np.float32)
        # No user knows a token: who is asked for one has it from what logs in.
        yield "credential", new * self._credential

    def of_tools(self) -> Iterator[tuple[str, Floats]]:
        """What tells that a tool feeds another one: names and matrices (producers, tools)."""
        mine = self._producers
        yield "texts", self._closest.standing(self.closest)
        yield "close", np.maximum(self._closeness.cosines(mine.start, mine.stop), LEAST_COSINE)
        yield "category", _same_category(self._closeness.category, mine)
        yield "variant", variants(self._deeds, mine)
        for name, of_producer in (
            ("producer changes", [changes(self._tools[tool]) for tool in mine]),
            ("gives nothing", self.idle),
        ):
            whole = np.array(of_producer, dtype=np.float32)
            yield name, np.repeat(whole[:, None], len(self._tools), axis=1)

    def _likest(self, returns: Side, names: Sequence[Name]) -> tuple[Ints, Floats, Floats]:
        shape = len(self._producers), len(self._taken)
        given, alike = np.full(shape, -1, dtype=np.int32), np.full(shape, LEAST_COSINE, dtype=np.float32)
        closest = np.full((len(self._producers), len(self._tools)), NO_FIELDS, dtype=np.float32)
        if not returns.fields:
            return given, alike, closest
        vectors = self._given_vectors[self._first : self._first + len(names)]
        plain = np.array([_BOILERPLATE if name in BOILERPLATE else 1.0 for name in names], dtype=np.float32)
        types = _types(returns.fields)
        starts = np.searchsorted(returns.tool, np.arange(len(self._producers) + 1))
        for tool in np.unique(returns.tool).tolist():
            mine = slice(starts[tool], starts[tool + 1])
            cosines = vectors[mine] @ self._vectors.T
            closest[tool] = self._closest.of(cosines)
            cosines *= np.where(self.plain[None, :], np.float32(_BOILERPLATE), plain[mine, None])
            cosines[(types[mine, None] & self._types[None, :]) == 0] = -1
            likest = cosines.argmax(axis=0)
            best = np.take_along_axis(cosines, likest[None, :], axis=0)[0]
            possible = best > LEAST_COSINE
            given[tool, possible] = self._first + starts[tool] + likest[possible]
            alike[tool, possible] = best[possible]
        return given, alike, closest

    def _same_name(self, returns: Side, names: Sequence[Name]) -> Floats:
        """Where a tool has a field of a parameter's name; a bare ``id`` is that of what its tool is about."""
        givers: dict[Name, list[tuple[int, int]]] = defaultdict(list)
        for index, (name, tool) in enumerate(zip(names, returns.tool.tolist(), strict=True)):
            for full in self._full_names(name, self._producers[tool]):
                givers[full].append((tool, index))
        same = np.zeros(self.alike.shape, dtype=np.float32)
        for column, (name, tool) in enumerate(zip(self._taken, self._parameters.tool.tolist(), strict=True)):
            types = self._parameters.fields[column].types or ANY_TYPE
            for full in self._full_names(name, tool):
                for producer, index in givers.get(full, ()):
                    fits = (returns.fields[index].types or ANY_TYPE) & types
                    # Credentials are given by what logs in, and repeated by everything else.
                    repeats = name in BOILERPLATE and (
                        not self._credential[column] or self.known[producer, column] > 0
                    )
                    if fits and not repeats and not same[producer, column]:
                        same[producer, column] = 1
                        self.given[producer, column] = self._first + index
        return same

    def _full_names(self, name: Name, tool: int) -> Iterable[Name]:
        if len(name) == 1 and name[0] in NAMELESS:
            return [(subject, *name) for subject in self._about[tool]]
        return [name]

    def _count_sources(self) -> Floats:
        """How many tools of the catalogue give a field of a parameter's name that they do not take."""
        givers: dict[Name, dict[int, int]] = defaultdict(dict)  # the types that each tool gives it in
        for name, field, tool in zip(
            self._given_names, self._returns.fields, self._returns.tool.tolist(), strict=True
        ):
            for full in self._full_names(name, tool):
                givers[full][tool] = givers[full].get(tool, 0) | (field.types or ANY_TYPE)
        takers: dict[Name, set[int]] = defaultdict(set)
        for name, tool in zip(self._taken, self._parameters.tool.tolist(), strict=True):
            takers[name].add(tool)
        counted: dict[tuple[Name, tuple[Name, ...], int], int] = {}
        sources = np.zeros(len(self._taken), dtype=np.float32)
        for column, (name, tool) in enumerate(zip(self._taken, self._parameters.tool.tolist(), strict=True)):
            if self.plain[column] and not self._credential[column]:
                continue
            types = self._parameters.fields[column].types or ANY_TYPE
            key = name, tuple(self._full_names(name, tool)), types
            if key not in counted:
                giving = {
                    giver
                    for full in key[1]
                    for giver, given in givers.get(full, {}).items()
                    if given & types and giver not in takers[name]
                }
                counted[key] = len(giving)
            sources[column] = counted[key]
        return sources

    def _takes(self) -> Floats:
        """Where a producer takes a parameter of that name itself."""
        number = {name: place for place, name in enumerate(dict.fromkeys(self._taken))}
        column = np.array([number[name] for name in self._taken])
        mine = self._producers
        low, high = np.searchsorted(self._parameters.tool, [mine.start, mine.stop])
        takes = np.zeros((len(mine), len(number)), dtype=np.float32)
        takes[self._parameters.tool[low:high] - mine.start, column[low:high]] = 1
        taken: Floats = takes[:, column]
        return taken

    def _words_in(self) -> Floats:
        """How much of a parameter's name is among the words of a producer, rare words counting more."""
        total, count = len(self._tools), len(self._producers)
        having: dict[str, list[int]] = defaultdict(list)
        for place, tool in enumerate(self._producers):
            for word in self._words[tool]:
                having[word].append(place)
        known: dict[frozenset[str], Floats] = {}
        told = np.zeros((count, len(self._taken)), dtype=np.float32)
        for column, (name, tool) in enumerate(zip(self._taken, self._parameters.tool.tolist(), strict=True)):
            asked: frozenset[str] = frozenset(name) - LOCAL - NAMELESS
            if not asked and len(name) == 1:
                asked = frozenset(self._about[tool])
            if asked not in known:
                rare = {
                    word: math.log((total + 1) / max(1, self._tools_of_word[word])) for word in sorted(asked)
                }
                part = np.zeros(count, dtype=np.float32)
                for word, weight in rare.items():
                    part[having.get(word, [])] += np.float32(weight / sum(rare.values()))
                known[asked] = part
            told[:, column] = known[asked]
        return told


def _texts(fields: Sequence[Field], names: Sequence[Name]) -> list[str]:
    return [
        f"{' '.join(name)}: {field.description}" if field.description else " ".join(name)
        for field, name in zip(fields, names, strict=True)
    ]


def _types(fields: Sequence[Field]) -> NDArray[np.uint8]:
    return np.array([field.types or ANY_TYPE for field in fields], dtype=np.uint8)


def _same_category(category: Ints, producers: range) -> Floats:
    """1 less the share of the catalogue that a shared category has; 0 where none is shared."""
    known = category >= 0
    share = np.bincount(category[known], minlength=1) / len(category)
    same = (category[producers.start : producers.stop, None] == category[None, :]) & known[None, :]
    same_category: Floats = np.where(same, (1 - share[category])[None, :], 0).astype(np.float32)
    return same_category
