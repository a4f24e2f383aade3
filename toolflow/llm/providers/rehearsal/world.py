"""What the service behind the tools remembers, read from the results it gave before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from toolflow.llm.providers.rehearsal.intents import verb_of
from toolflow.llm.providers.rehearsal.kinds import kind_of
from toolflow.llm.providers.rehearsal.prompt import as_object
from toolflow.llm.providers.rehearsal.scene import Scene
from toolflow.llm.providers.rehearsal.site import MISSING
from toolflow.llm.providers.rehearsal.words import split_name

_WRITES: Final = frozenset(
    "create add make book reserve order buy purchase place send update change modify edit set cancel delete "
    "remove assign pay transfer reschedule move register request subscribe save log share invite reply start "
    "stop post submit rename upload switch turn schedule play record".split()
)
_OUTCOMES: Final[Mapping[str, tuple[str, ...]]] = {
    "cancel": ("cancelled", "canceled", "inactive"),
    "delete": ("deleted", "removed"),
    "remove": ("removed", "deleted"),
    "pay": ("paid", "completed"),
    "reschedule": ("rescheduled", "confirmed", "scheduled"),
    "refund": ("refunded",),
    "pause": ("paused",),
    "close": ("closed",),
    "start": ("started", "running", "active"),
    "stop": ("stopped", "off"),
}
_DELETING: Final = frozenset(("delete", "remove"))
_SHARED: Final = frozenset(("currency", "unit", "units"))
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_NOT_NOW: Final = frozenset(("birth_date", "date_end", "time_end"))
_SCENIC: Final = frozenset(("city", "city_to", "city_from", "date", "date_start", "datetime"))


class World:
    """The entities that earlier results told of, and what is being asked now.

    Args:
        history: Earlier calls with their results, oldest first.
        tool: Name of the tool that is called.
        arguments: Of the call.
    """

    def __init__(self, history: Sequence[Mapping[str, Any]], tool: str, arguments: Mapping[str, Any]) -> None:
        self.tool = tool
        self.arguments = arguments
        self._history = history
        self._entities: dict[str, dict[str, Any]] = {}
        self._created: dict[
            str, list[dict[str, Any]]
        ] = {}  # id field → entities that a call made, newest last
        self._gone: set[str] = set()  # ids of what was deleted
        self._shared: dict[str, Any] = {}
        self._around: dict[str, Any] = {}  # where and when the dialogue takes place
        for entry in history:
            self._remember(entry)
        self._focus = self._focussed()

    @property
    def verb(self) -> str:
        """The word of the tool's name that says what is done."""
        return verb_of(self.tool)

    def repeated(self) -> Any:
        """What the very same call returned, if nothing was written since; None otherwise."""
        for entry in reversed(self._history):
            if entry.get("tool") == self.tool and entry.get("arguments") == self.arguments:
                return entry.get("result")
            if is_write(str(entry.get("tool"))):
                return None
        return None

    def settle(self, scene: Scene) -> None:
        """Have a scene take over what the call and the known entities tell."""
        for told in (self._around, self._focus, _flat(self.arguments)):
            for name, value in told.items():
                kind = kind_of(name)
                scene.settle(
                    "date" if isinstance(value, str) and _DAY.match(value) and kind not in _NOT_NOW else kind,
                    value,
                )

    def known(self, name: str, listed: bool) -> Any:  # noqa: FBT001, PLR0911  the shape of Known; one return a source
        """What a field's value must be to agree with the call and with earlier results, or MISSING."""
        if name in self.arguments and self.arguments[name] is not None:
            return self.arguments[name]
        outcome = self._outcome(name)
        if outcome is not None and not listed:
            return outcome
        if name in self._shared:
            return self._shared[name]
        if self.verb == "create" and split_name(name)[-1:] == ("count",) and not listed:
            return 0  # what has just been made is empty
        if listed:
            return MISSING
        if name in self._focus:
            return self._focus[name]
        return self._made(name)

    def about(self, name: str) -> Any:
        """A field of what the call is about, or MISSING."""
        return self._focus.get(name, MISSING)

    def thing(self, identifier: str) -> Mapping[str, Any]:
        """What is known of the thing of an id."""
        return self._entities.get(identifier, {})

    def _made(self, name: str) -> Any:
        """For a list of things of which one was made before: that one leads the list."""
        for id_field, made in self._created.items():
            words = split_name(id_field)[:-1]
            if words and split_name(name)[-1:] == (f"{words[-1]}s",) and not is_write(self.tool):
                there = [one for one in made if str(one.get(id_field)) not in self._gone]
                return [one for one in there[-2:] if self._passes(one)] or MISSING
        return MISSING

    def _passes(self, entity: Mapping[str, Any]) -> bool:
        texts = " ".join(str(value) for value in entity.values()).lower()
        return all(
            any(word in texts for word in str(value).lower().split())
            if kind_of(name) == "keyword"
            else entity.get(name, value) == value
            for name, value in self.arguments.items()
        )

    def _outcome(self, name: str) -> Any:
        words = split_name(name)
        if words and words[-1] in {"status", "state"}:
            options = _OUTCOMES.get(self.verb)
            return options[0] if options else None
        return None

    def outcomes(self) -> Sequence[str]:
        """States that say that the call did what it is for."""
        return _OUTCOMES.get(self.verb, ())

    def _remember(self, entry: Mapping[str, Any]) -> None:
        tool = str(entry.get("tool") or "")
        given = dict(as_object(entry.get("arguments")))
        result = entry.get("result")
        root = _flat(result) if isinstance(result, dict) else {}
        for name, told in (_flat(given) | root).items():
            kind = kind_of(name)
            if kind in _SCENIC and (kind.startswith("city") or name not in self._around):
                self._around[name] = told  # one moves about in a dialogue, but its days stay the same
        for depth, found in _objects(result):
            for name in _SHARED & found.keys():
                self._shared.setdefault(name, found[name])
            key = own_id(found)
            if key is not None:
                self._learn(found, key, given, root if depth else {}, writes=is_write(tool) and depth == 0)
        if is_write(tool):
            self._rewrite(given, root)
        if verb_of(tool) in _DELETING:
            # Of the ids that are given the thing's own: a track is removed, and not its playlist.
            self._gone.update(
                str(value) for name, value in given.items() if split_name(name)[:-1] == split_name(tool)[1:]
            )

    def _learn(
        self,
        found: Mapping[str, Any],
        key: str,
        given: Mapping[str, Any],
        around: Mapping[str, Any],
        *,
        writes: bool,
    ) -> None:
        """Remember an object of a result under its id, with what the call and the result around say of it."""
        entity = self._entities.setdefault(str(found[key]), {})
        for source in (given if writes else _scalars(given), around):
            for name, value in source.items():
                if writes or (name not in entity and kind_of(name) != "status"):
                    entity[name] = value
        entity.update(_flat(found))
        entity.update({name: value for name, value in found.items() if isinstance(value, list)})
        if writes and key not in given:
            self._created.setdefault(key, []).append(entity)

    def _rewrite(self, given: Mapping[str, Any], root: Mapping[str, Any]) -> None:
        """A write about a known thing changes that thing, whatever its result looks like."""
        news = {**_scalars(given), **{field: told for field, told in root.items() if not is_id(field)}}
        for name, value in given.items():
            known = self._entities.get(str(value)) if isinstance(value, (str, int)) and is_id(name) else None
            if known is not None:
                known.update(news)

    def _focussed(self) -> dict[str, Any]:
        focus: dict[str, Any] = {}
        for name, value in reversed(list(_scalars(self.arguments).items())):
            entity = self._entities.get(str(value)) if is_id(name) else None
            if entity is None:
                continue
            for field, linked in list(entity.items()):
                if is_id(field) and isinstance(linked, (str, int)) and str(linked) != str(value):
                    for one, told in self._entities.get(str(linked), {}).items():
                        focus.setdefault(one, told)
            focus.update(entity)
        return focus


def is_write(tool: str) -> bool:
    """Whether a tool changes something, told from its name."""
    return verb_of(tool) in _WRITES


def is_id(name: str) -> bool:
    """Whether values under a name identify something."""
    words = split_name(name)
    return bool(words) and (
        kind_of(name) in {"id", "code", "uuid"} or words[-1] in {"id", "number", "reference", "code"}
    )


def own_id(found: Mapping[str, Any]) -> str | None:
    """The field that identifies an object itself: its first one that is an id."""
    return next(
        (name for name, value in found.items() if is_id(name) and isinstance(value, (str, int))), None
    )


def _scalars(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in value.items() if isinstance(one, (str, int, float, bool))}


def _flat(value: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """The scalars of an object and of the objects inside it, by their own names; outer ones win."""
    flat: dict[str, Any] = {}
    for inner in value.values():
        if isinstance(inner, dict) and depth < 3:
            flat.update(_flat(inner, depth + 1))
    flat.update(_scalars(value))
    return flat


def _objects(value: Any, depth: int = 0) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Every object in a value with how deep in lists it stands."""
    if depth > 6:
        return
    if isinstance(value, dict):
        yield depth, value
        for inner in value.values():
            yield from _objects(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner, depth + 1)
