"""What LLM tokens cost: a shipped file under the user's own. A model that neither names has no price."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_CEILING, Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from toolflow.config.loading import yaml_problem
from toolflow.errors import UsageError
from toolflow.llm.chat import Usage

PICODOLLARS: Final = 10**12
"""Picodollars in a US dollar. Sums of money are whole picodollars: adding and taking back is exact."""

_PRICE_FIELDS: Final = ("input_per_million", "output_per_million")
_FIELDS: Final = (*_PRICE_FIELDS, "long_prompt", "as_of", "source")
_MOST: Final = 1_000_000
_FORM: Final = "{input_per_million: USD, output_per_million: USD}"


@dataclass(frozen=True, slots=True)
class LongPrompt:
    """What a whole call costs whose prompt is long.

    Attributes:
        above: LLM tokens of a prompt up to which the normal price holds.
        input_per_million: USD per million LLM tokens of prompts.
        output_per_million: USD per million LLM tokens of completions.
    """

    above: int
    input_per_million: float
    output_per_million: float


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, discounts left aside.

    Attributes:
        input_per_million: USD per million LLM tokens of prompts.
        output_per_million: USD per million LLM tokens of completions.
        long_prompt: The dearer price of calls with a long prompt, if there is one.
        as_of: The day for which the price is known, as ISO 8601; empty where nobody said.
        source: Where the price comes from; empty where nobody said.
    """

    input_per_million: float
    output_per_million: float
    long_prompt: LongPrompt | None = None
    as_of: str = ""
    source: str = ""
    _normal: tuple[int, int] = field(init=False, repr=False, compare=False)
    _long: tuple[int, int] = field(init=False, repr=False, compare=False)
    _above: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        normal = _per_token(self.input_per_million), _per_token(self.output_per_million)
        long, above = normal, math.inf
        if (other := self.long_prompt) is not None:
            long = _per_token(other.input_per_million), _per_token(other.output_per_million)
            above = other.above
        object.__setattr__(self, "_normal", normal)
        object.__setattr__(self, "_long", long)
        object.__setattr__(self, "_above", above)

    def picodollars(self, usage: Usage) -> int:
        """What one call with this usage costs, in :data:`PICODOLLARS`."""
        each = self._long if usage.prompt > self._above else self._normal
        return usage.prompt * each[0] + usage.completion * each[1]


class Prices:
    """The price of each model: exact names first, then the longest pattern that fits.

    A name that ends with ``*`` is a pattern, and stands for all names that begin so. The user's file is asked
    first and whole: its patterns win over shipped names.

    Args:
        own: The user's prices.
        shipped: Those under them.
    """

    def __init__(self, own: Mapping[str, Price], shipped: Mapping[str, Price] | None = None) -> None:
        self._layers = (own, shipped or {})
        self._known: dict[str, Price | None] = {}

    @classmethod
    def load(cls, file: Path | None = None) -> Prices:
        """The shipped prices under those of ``file``, which is YAML or, if its name ends so, JSON.

        Raises:
            UsageError: The file cannot be read or holds something else than prices.
        """
        shipped = files("toolflow.llm.budget") / "prices.yaml"
        own = _read(str(file), file.read_bytes) if file is not None else {}
        return cls(own, _read("prices.yaml", shipped.read_bytes))

    def find(self, model: str) -> Price | None:
        """The price of a model, or None if nobody told it."""
        if model not in self._known:
            found = (_find(model, layer) for layer in self._layers)
            self._known[model] = next((price for price in found if price is not None), None)
        return self._known[model]

    def require(self, models: Iterable[str]) -> None:
        """Make sure that each of the models has a price.

        Raises:
            UsageError: At least one has none.
        """
        unknown = [model for model in dict.fromkeys(models) if self.find(model) is None]
        if unknown:
            lines = "; ".join(f"{json.dumps(model, ensure_ascii=False)}: {_FORM}" for model in unknown)
            raise UsageError(
                f"no price is known for {', '.join(unknown)}, so the cost cannot be bounded",
                hint=f"Write a YAML file that says, per million LLM tokens, {lines}, and give it with "
                "--prices FILE; 0 for what costs nothing.",
            )


def _find(model: str, layer: Mapping[str, Price]) -> Price | None:
    exact = layer.get(model)
    if exact is not None and not model.endswith("*"):
        return exact
    fitting = [name for name in layer if name.endswith("*") and model.startswith(name[:-1])]
    return layer[max(fitting, key=len)] if fitting else None


def _per_token(per_million: float) -> int:
    # As its decimal digits say it, and what a picodollar cannot express is rounded up: a bound stays one.
    exact = Decimal(repr(per_million)) * (PICODOLLARS // 10**6)
    return int(exact.to_integral_value(ROUND_CEILING))


def _read(label: str, read: Callable[[], bytes]) -> dict[str, Price]:
    try:
        text = read().decode()
        content = _parse_json(text) if label.endswith(".json") else yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise UsageError(
            f"{label}: the prices cannot be read: {error.strerror}", hint="Check the path after --prices."
        ) from error
    except yaml.YAMLError as error:
        raise UsageError(yaml_problem(label, error)) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{label}: not readable: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _wrong(label, "is not a mapping from model names to prices")
    return {_name(label, name): _price(f"{label}: {name}", value) for name, value in content.items()}


def _name(label: str, name: object) -> str:
    if not isinstance(name, str) or not name:
        raise _wrong(f"{label}: {name!r}", "is no model name; quote it")
    if "*" in name[:-1]:
        raise _wrong(f"{label}: {name}", "has a * that is not at its end")
    return name


def _price(place: str, value: object) -> Price:
    fields = _fields(place, value, _FIELDS)
    long_prompt = None
    if "long_prompt" in fields:
        long_prompt = _long_prompt(f"{place}: long_prompt", fields["long_prompt"])
    price = Price(
        _amount(place, "input_per_million", fields),
        _amount(place, "output_per_million", fields),
        long_prompt=long_prompt,
        as_of=_words(place, "as_of", fields),
        source=_words(place, "source", fields),
    )
    if long_prompt is not None and (
        long_prompt.input_per_million < price.input_per_million
        or long_prompt.output_per_million < price.output_per_million
    ):
        raise _wrong(f"{place}: long_prompt", "is cheaper than the normal price")
    return price


def _long_prompt(place: str, value: object) -> LongPrompt:
    fields = _fields(place, value, ("above", *_PRICE_FIELDS))
    above = fields.get("above")
    if not isinstance(above, int) or isinstance(above, bool) or above < 0:
        raise _wrong(f"{place}: above", f"must be a number of LLM tokens, not {above!r}")
    return LongPrompt(
        above, _amount(place, "input_per_million", fields), _amount(place, "output_per_million", fields)
    )


def _fields(place: str, value: object, known: tuple[str, ...]) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise _wrong(place, f"must be of the form {_FORM}, not {value!r}")
    unknown = [str(name) for name in value if name not in known]
    if unknown:
        raise _wrong(place, f"has unknown fields {', '.join(unknown)}; known are {', '.join(known)}")
    return value


def _amount(place: str, name: str, fields: Mapping[Any, Any]) -> float:
    if name not in fields:
        raise _wrong(place, f"lacks {name}")
    value = fields[name]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= _MOST:
        raise _wrong(f"{place}: {name}", f"must be a number of USD, 0 to {_MOST:,}, not {value!r}")
    return float(value)


def _words(place: str, name: str, fields: Mapping[Any, Any]) -> str:
    value = fields.get(name, "")
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        raise _wrong(f"{place}: {name}", f"must be text, not {value!r}")
    return value


def _wrong(place: str, what: str) -> UsageError:
    return UsageError(
        f"{place} {what}", hint=f"A price file holds lines such as gpt-4.1: {_FORM}, per million LLM tokens."
    )


def _once(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """A mapping of the pairs; of two prices of one model nobody could say which counts."""
    mapping: dict[Any, Any] = {}
    for name, value in pairs:
        if name in mapping:
            raise ValueError(f"{name!r} is there twice")
        mapping[name] = value
    return mapping


def _parse_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once)


class _Loader(yaml.SafeLoader):
    """The safe loader, which refuses a name that is there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - its signature
        names = [self.construct_object(name, deep=True) for name, _ in node.value]
        try:
            _once((name, None) for name in names)
        except (TypeError, ValueError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error
        return super().construct_mapping(node, deep=deep)
