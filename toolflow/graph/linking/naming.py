"""What fields are called, and how much a name tells: names that say little alone are read in their place."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from toolflow.graph.linking.fields import Field
from toolflow.graph.linking.vocabulary import LOCAL, NAMELESS, PLAIN, PREPOSITIONS, VERBS, WRAPPERS, Name
from toolflow.graph.linking.words import normal_words


def own_names(field: Field) -> tuple[Name, ...]:
    """What a field is called, best first: ``flights[].id`` is a *flight id*, ``[].venue.city`` a *city*."""
    word = field.words[0]
    place = field.parent[:-1] if field.parent[-1:] == (word,) else field.parent
    is_bare = len(field.words) == 1 and (word in NAMELESS or word in PLAIN)
    if not is_bare or not place or place[-1] in WRAPPERS:
        return (field.words,)
    placed = (*place, word)
    return (placed, field.words) if word in PLAIN else (placed,)


def alias(name: Name, about: Collection[str], known: Set[Name]) -> Name | None:
    """What a bare name means in a tool about ``about``: ``id`` in ``search_hotels`` is a *hotel id*.

    Only if the catalogue has a field of that name elsewhere.
    """
    if len(name) != 1 or (name[0] not in NAMELESS and name[0] not in PLAIN):
        return None
    return next((named for subject in about if (named := (subject, *name)) in known), None)


def subjects(tool_name: str) -> tuple[str, ...]:
    """What a tool is about: the words of its name up to a preposition, verbs aside, last first."""
    about: list[str] = []
    for word in normal_words(tool_name):
        if word in PREPOSITIONS and about:
            break
        if word not in VERBS:
            about.append(word)
    return tuple(reversed(about))


def rarity(count: int, total: int) -> float:
    """Inverse document frequency, from 1 for a name of one of ``total`` tools towards 0 for one of all.

    Twenty tools are added to the total: what both tools of a catalogue of two have is no common thing.
    """
    return 1 - math.log(count) / math.log(total + 20)


@dataclass(frozen=True, slots=True)
class Specificity:
    """How much a name tells by itself, in this catalogue.

    Attributes:
        names: By name, in [0, 1]: how surely two fields of that name belong together whatever their tools do.
        words: By word of a name, its rarity in [0, 1].
    """

    names: Mapping[Name, float]
    words: Mapping[str, float]


def measure_specificity(tool_names: Sequence[Iterable[Name]]) -> Specificity:
    """Measure it from the names that occur in each tool."""
    total = len(tool_names)
    name_counts: Counter[Name] = Counter()
    word_counts: Counter[str] = Counter()
    for names in tool_names:
        distinct = set(names)
        name_counts.update(distinct)
        word_counts.update({word for name in distinct for word in name})
    return Specificity(
        names={name: _specificity(name, rarity(count, total)) for name, count in name_counts.items()},
        words={word: rarity(count, total) for word, count in word_counts.items()},
    )


def _specificity(name: Name, rare: float) -> float:
    # Set by reading the links of real catalogues (RapidAPI, SGD, Seal-Tools, τ-bench, BFCL), and by how many
    # gold links of SGD, TaskBench, BFCL and RestBench are found again.
    if len(name) == 1 and name[0] in NAMELESS:
        return (0.4 if name[0] in LOCAL else 0.6) * rare
    common = 0.25 + 0.75 * rare
    if name[-1] in LOCAL:
        return 0.6 * common
    # One rare word may be an everyday word that two unrelated tools happen to use.
    return (0.9 if len(name) > 1 else 0.75) * common
