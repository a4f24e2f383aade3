"""Plans one call: where each argument comes from, and a value for what the user says."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from toolflow.llm.providers.rehearsal.arguments import FREE
from toolflow.llm.providers.rehearsal.intents import thing_of
from toolflow.llm.providers.rehearsal.kinds import kind_of
from toolflow.llm.providers.rehearsal.lexicon import words
from toolflow.llm.providers.rehearsal.scene import Scene
from toolflow.llm.providers.rehearsal.schema_values import write_value
from toolflow.llm.providers.rehearsal.schemas import as_schema, is_valid, resolve
from toolflow.llm.providers.rehearsal.site import Site
from toolflow.llm.providers.rehearsal.sources import Origin, PlannedTool, is_learnt, origin_of
from toolflow.llm.providers.rehearsal.spoken import Slot

_TRIES: Final = 4
_UNSAID: Final = frozenset(
    "latitude longitude page limit id code hash uuid url image_url text path file domain ip language_code "
    "timezone datetime".split()
)
_CARRIED: Final = frozenset(
    "city city_from city_to country street email phone date date_start date_end datetime time latitude "
    "longitude airport "
    "airport_from airport_to currency symbol flight hotel restaurant film event song artist product "
    "company domain ip username "
    "zip url".split()
)
_KEYWORDS: Final = {
    "product": "keyword", "place": "place_type", "contact": "last", "person": "last", "document": "topic",
    "note": "topic",
    "email": "subject", "message": "subject", "track": "song", "song": "song", "movie": "film",
    "film": "film", "book": "book",
    "recipe": "food", "job": "job",
}  # fmt: skip
_WITHHOLD_USUALLY: Final = 0.45
_ALWAYS_TOLD: Final = 0.5


@dataclass(frozen=True, slots=True)
class DraftArgument:
    """One argument of a planned call; exactly one of value and origin counts."""

    slot: Slot
    source: str
    value: Any = None
    origin: Origin | None = None
    withheld: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.slot.name,
            "source": self.source,
            "value": self.value,
            "withheld": self.withheld,
            "from_tool": self.origin.tool if self.origin else None,
            "from_field": self.origin.field.path if self.origin else None,
        }


@dataclass(slots=True)
class DraftCall:
    """A planned call."""

    tool: PlannedTool
    again: bool = False
    arguments: list[DraftArgument] = field(default_factory=list)


class CallPlanner:
    """Plans the calls of one dialogue in order.

    Args:
        scene: What the values of the dialogue share.
        draw: The source of chance.
        emphasis: Of the scenario.

    Attributes:
        scene: As given.
    """

    def __init__(self, scene: Scene, draw: random.Random, emphasis: str) -> None:
        self.scene = scene
        self._draw = draw
        self._emphasis = emphasis
        self._called: list[PlannedTool] = []
        self._told: dict[str, Any] = {}
        self._drawn: dict[str, list[Any]] = {}
        self._given: set[str] = set()  # parameters that calls of earlier goals were given
        self._withheld = 0
        self._most_withheld = draw.randint(1, 2) if emphasis == "clarify" else 1

    def plan(self, tool: PlannedTool, *, afresh: bool = False) -> DraftCall:
        """The next call.

        Args:
            tool: What is called.
            afresh: Whether its values must differ from those of the call before it.
        """
        draft = DraftCall(tool, afresh)
        schema = tool.offer.schema
        optional = self._optional(tool, afresh=afresh)
        scene = self._other_scene() if afresh else self.scene
        for slot in tool.offer.slots:
            if slot.name not in tool.offer.required and slot.name not in optional:
                continue
            origin = self._origin(slot, tool, listed=afresh) if slot.name in tool.offer.required else None
            if origin is not None:
                draft.arguments.append(DraftArgument(slot, "result", origin=origin))
                continue
            inner = as_schema(as_schema(schema.get("properties")).get(slot.name))
            default = resolve(inner, schema).get("default")
            if slot.name in tool.offer.required and default is not None and self._draw.random() < 0.3:
                source, value = "default", default
            else:
                source, value = "user", self._value(slot, inner, tool, scene, afresh=afresh)
            draft.arguments.append(DraftArgument(slot, source, value))
        self._called.append(tool)
        return self._checked(draft, scene)

    def _other_scene(self) -> Scene:
        """The same days, another place and other things."""
        scene = Scene(random.Random(self._draw.random()))
        scene.settle("date", self.scene.start.isoformat())
        return scene

    def _checked(self, draft: DraftCall, scene: Scene) -> DraftCall:
        """The draft with only values that its schema allows; the rare misfit is drawn again."""
        schema = draft.tool.offer.schema
        kept: list[DraftArgument] = []
        for argument in draft.arguments:
            if argument.source == "result":
                kept.append(argument)
                continue
            inner = as_schema(as_schema(schema.get("properties")).get(argument.slot.name))
            alone = {**schema, "properties": {argument.slot.name: inner}, "required": []}
            value = argument.value
            for _ in range(_TRIES):
                if is_valid({argument.slot.name: value}, alone):
                    break
                value = write_value(inner, Site(schema, scene, name=argument.slot.name))
            if (
                is_valid({argument.slot.name: value}, alone)
                or argument.slot.name in draft.tool.offer.required
            ):
                kept.append(replace(argument, value=value))
                if argument.source == "user" and argument.slot.kind not in FREE:
                    self._told.setdefault(argument.slot.name, value)
        return DraftCall(draft.tool, draft.again, kept)

    def _origin(self, slot: Slot, tool: PlannedTool, *, listed: bool) -> Origin | None:
        """Where an earlier call returns a value; only entries of lists do where it must be another one."""
        if (slot.type in {"boolean", "object"} and not slot.inner) or slot.choices:
            return None
        if slot.inner:
            return self._origin_inside(slot, tool)
        called = [one for one in self._called if one is not tool] if listed else self._called
        origin = origin_of(slot, tool.name, called, listed=listed)
        if origin is None or is_learnt(slot):
            return origin
        if listed or slot.kind not in _CARRIED:
            return None
        likely = 0.75 if self._emphasis == "dependent" else _ALWAYS_TOLD
        return origin if origin.field.certain and self._draw.random() < likely else None

    def _origin_inside(self, slot: Slot, tool: PlannedTool) -> Origin | None:
        """For an object: a result gives its id, and the rest of it goes without saying."""
        found: Origin | None = None
        for inner in slot.inner:
            origin = origin_of(inner, tool.name, self._called) if is_learnt(inner) else None
            if origin is None and inner.kind not in {"quantity", "people", "small"}:
                return None
            found = found or origin
        return found

    def _optional(self, tool: PlannedTool, *, afresh: bool) -> frozenset[str]:
        """Optional parameters that the person brings up: one or two, of the kind that people mention."""
        if afresh:
            return frozenset()
        fitting = [
            slot.name
            for slot in tool.offer.slots
            if slot.name not in tool.offer.required and _is_sayable(slot)
        ]
        many = self._draw.choices((0, 1, 2), (0.45, 0.4, 0.15))[0]
        # A tool that requires nothing is mostly a filtered search: one filter makes the request a real one.
        # And who updates a thing says what is new.
        many = max(many, 1) if not tool.offer.required or tool.offer.verb == "=update" else many
        if any(slot.kind == "keyword" for slot in tool.offer.slots):
            fitting = [
                name for name in fitting if kind_of(name) not in {"product_category", "genre"}
            ] or fitting
        return frozenset(self._draw.sample(fitting, min(many, len(fitting))))

    def _value(
        self, slot: Slot, inner: Mapping[str, Any], tool: PlannedTool, scene: Scene, *, afresh: bool
    ) -> Any:
        before = self._drawn.setdefault(slot.name, [])
        if not afresh and slot.name in self._told:
            return self._told[slot.name]
        value = self._draw_value(slot, inner, tool, scene)
        for _ in range(_TRIES if afresh else 0):
            if value not in before:
                break
            value = self._draw_value(slot, inner, tool, scene)
        before.append(value)
        return value

    def _draw_value(self, slot: Slot, inner: Mapping[str, Any], tool: PlannedTool, scene: Scene) -> Any:
        if slot.kind == "keyword" and slot.type in {"string", "any"}:
            return self._draw.choice(words(_KEYWORDS.get(thing_of(tool.name), "topic")))
        return write_value(inner, Site(tool.offer.schema, scene, name=slot.name, fewest=True))

    def withhold(self, drafts: Sequence[DraftCall]) -> None:
        """Have the user leave out a required value of a goal that the assistant cannot know otherwise."""
        self._leave_out(drafts)
        self._given.update(argument.slot.name for draft in drafts for argument in draft.arguments)

    def _leave_out(self, drafts: Sequence[DraftCall]) -> None:
        odds = 0.75 if self._emphasis == "clarify" else _WITHHOLD_USUALLY / 2
        if self._withheld >= self._most_withheld or len(drafts) > 1 or self._draw.random() >= odds:
            return
        draft = drafts[0]
        earlier = self._called[: -len(drafts)]
        fitting = [
            place
            for place, argument in enumerate(draft.arguments)
            if argument.source == "user"
            and argument.slot.name in draft.tool.offer.required
            and argument.slot.name not in self._given
            and not argument.slot.inner
            and argument.slot.type not in {"boolean", "object", "array"}
            and _has_no_default(draft, argument.slot)
            and origin_of(argument.slot, draft.tool.name, earlier) is None
        ]
        if fitting:
            place = self._draw.choice(fitting)
            draft.arguments[place] = replace(draft.arguments[place], withheld=True)
            self._withheld += 1


def _has_no_default(draft: DraftCall, slot: Slot) -> bool:
    inner = as_schema(as_schema(draft.tool.offer.schema.get("properties")).get(slot.name))
    return resolve(inner, draft.tool.offer.schema).get("default") is None


def _is_sayable(slot: Slot) -> bool:
    """Whether a person would bring a parameter up unasked."""
    return not slot.inner and slot.type in {"string", "integer", "number"} and slot.kind not in _UNSAID
