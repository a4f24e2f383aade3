from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from tests.unit.invoking import fail, run
from toolflow.catalog.callables import tool_from_callable, tools_from_python
from toolflow.catalog.load import load_catalogue
from toolflow.errors import CatalogueError, UsageError
from toolflow.graph.linking.fields import return_fields


class Unit(enum.Enum):
    METRIC = "metric"
    IMPERIAL = "imperial"


@dataclass
class Place:
    city: str
    tags: list[str] = field(default_factory=list)


class Span(TypedDict):
    start: date
    end: date


class Forecast(BaseModel):
    temperature: Annotated[float, Field(description="In degrees.", ge=-90)]
    inner: Forecast | None = None


def forecast(
    place: Place,
    span: Span,
    unit: Unit = Unit.METRIC,
    detail: Literal["low", "high"] = "low",
    days: Annotated[int, Field(ge=1, le=14, description="How many days.")] = 3,
    language: Annotated[str, "Two letters."] = "en",
    note: Optional[str] = None,  # noqa: UP045 - this spelling is what the test is about
    *notes: str,
    raw: Any = None,
    **options: int,
) -> Forecast:
    """Forecast the weather.

    It may rain.

    Args:
        place: Where.
        span: From when
            to when.
        days: Overruled by the hint.
        raw (dict, optional): Anything: even this.

    Returns:
        What the sky will do.

    Raises:
        ValueError: Never.
    """
    raise NotImplementedError


def test_hints_and_docstring_become_a_tool() -> None:
    tool = tool_from_callable(forecast)
    assert tool.name == "forecast"
    assert tool.description == "Forecast the weather.\nIt may rain."
    assert tool.required == ["place", "span"]
    assert list(tool.properties) == ["place", "span", "unit", "detail", "days", "language", "note", "raw"]
    assert tool.source == __name__
    assert tool.source_id == f"{__name__}:forecast"
    properties = tool.properties
    assert properties["place"]["description"] == "Where."
    assert properties["place"]["properties"]["tags"]["items"] == {"type": "string"}
    assert properties["span"]["description"] == "From when to when."
    assert properties["span"]["required"] == ["start", "end"]
    assert properties["unit"]["enum"] == ["metric", "imperial"]
    assert properties["unit"]["default"] == "metric"
    assert properties["detail"]["enum"] == ["low", "high"]
    assert properties["days"] == {
        "type": "integer",
        "description": "How many days.",
        "minimum": 1,
        "maximum": 14,
        "default": 3,
    }
    assert properties["language"] == {"type": "string", "description": "Two letters.", "default": "en"}
    assert properties["note"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert properties["raw"] == {"description": "Anything: even this."}
    assert tool.returns is not None
    assert tool.returns["description"] == "What the sky will do."
    assert tool.returns["properties"]["temperature"]["description"] == "In degrees."
    assert "$ref" not in str(tool.to_canonical())


def test_arguments_are_checked_against_the_hints() -> None:
    tool = tool_from_callable(forecast)
    good = {"place": {"city": "Oslo"}, "span": {"start": "2024-01-01", "end": "2024-01-02"}}
    assert tool.argument_problems(good) == []
    assert tool.argument_problems(good | {"unit": "kelvin"}) != []
    assert tool.argument_problems(good | {"days": 20}) != []


def test_name_and_description_may_be_given() -> None:
    tool = tool_from_callable(forecast, name="weather", description="Weather.")
    assert (tool.name, tool.description) == ("weather", "Weather.")


def where_am_i(
    units: dict[Unit, int], extra: dict[str, int]
) -> list[dict[Literal["latitude", "longitude"], float]]:
    """Where this is."""
    raise NotImplementedError


def test_listed_keys_of_a_mapping_are_fields() -> None:
    tool = tool_from_callable(where_am_i)
    assert tool.returns is not None
    place = tool.returns["items"]
    assert place["properties"] == {"latitude": {"type": "number"}, "longitude": {"type": "number"}}
    assert "required" not in place
    assert [field.path for field in return_fields(tool)] == ["[].latitude", "[].longitude"]
    assert list(tool.properties["units"]["properties"]) == ["metric", "imperial"]
    assert "properties" not in tool.properties["extra"]
    good: dict[str, Any] = {"units": {"metric": 1}, "extra": {"any": 1}}
    assert tool.argument_problems(good) == []
    assert tool.argument_problems(good | {"units": {"kelvin": 1}}) != []


def test_methods_and_callable_objects() -> None:
    class Desk:
        def book(self, seats: int) -> None:
            """Book seats."""

        def __call__(self, guest: str) -> str:
            """Greet."""
            return guest

    assert list(tool_from_callable(Desk().book).properties) == ["seats"]
    assert list(tool_from_callable(Desk.book).properties) == ["seats"]
    greeting = tool_from_callable(Desk())
    assert (greeting.name, greeting.description) == ("Desk", "Greet.")
    assert list(greeting.properties) == ["guest"]
    assert tool_from_callable(Desk().book).returns is None


def test_a_partial_keeps_the_names_and_hints() -> None:
    tool = tool_from_callable(functools.partial(forecast, days=7))
    assert (tool.name, tool.description) == ("forecast", "Forecast the weather.\nIt may rain.")
    assert tool.required == ["place", "span"]
    assert tool.properties["days"]["default"] == 7


def of_unknown(x: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821 # pyright: ignore[reportUndefinedVariable]
    """Its hint names nothing."""


def of_callable(act: Callable[[int], int]) -> None:
    """Its type has no JSON."""


class Opaque:
    """No schema."""


def of_opaque(x: Sequence[Opaque]) -> None:
    """Its type is unknown to pydantic."""


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (of_unknown, "of_unknown: its signature cannot be read: name 'Nowhere'"),
        (of_callable, "of_callable: parameter 'act': the type has no JSON Schema"),
        (of_opaque, "of_opaque: parameter 'x': the type has no JSON Schema"),
    ],
)
def test_what_has_no_schema_is_refused_by_name(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        tool_from_callable(function)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, under a name that no other test uses."""
    name = f"weather_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(
        "from json import dumps\n"
        "def now(city: str) -> str:\n    'Now.'\n    return city\n"
        "def _hidden() -> None: ...\n"
        "class Desk:\n    def open(self, day: str) -> bool: return True\n"
        "number = 7\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    return name


def test_public_functions_of_a_module(module: str) -> None:
    assert [tool.name for tool in tools_from_python(module)] == ["now"]
    assert [tool.name for tool in tools_from_python(f"{module}:Desk.open")] == ["open"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("{}:later", "has no 'later'"),
        ("{}:number", "is no function"),
        ("{}_gone", "cannot be imported: ModuleNotFoundError"),
        ("", "cannot be imported"),
    ],
)
def test_targets_that_are_none(module: str, target: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tools_from_python(target.format(module))


def test_the_command_takes_python_code(module: str, tmp_path: Path) -> None:
    run("tools", "import", "--python", module, "-o", "tools.jsonl")
    assert [tool.name for tool in load_catalogue([tmp_path / "tools.jsonl"]).catalogue] == ["now"]


def test_the_command_needs_something_to_import(tmp_path: Path) -> None:
    assert "nothing to import" in fail(UsageError, "tools", "import", "-o", tmp_path / "tools.jsonl").message
