"""Docstrings in Google, NumPy or reST style: the description, and what they say of parameters and results."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

_PARAMETERS = frozenset({"args", "arguments", "parameters", "params", "other parameters", "keyword args"})
_RETURNS = frozenset({"returns", "return", "yields"})
_OTHERS = frozenset(
    {
        "see also",
        *"raises warns notes note examples example references attributes todo warnings warning".split(),
    }
)
_SECTION = re.compile(r"(?P<title>[A-Za-z ]+):\s*")
_RULE = re.compile(r"-{3,}\s*")
# As in: city (str, optional): where it rains
_GOOGLE_ITEM = re.compile(r"\*{0,2}(?P<name>\w+)\s*(\(.*?\))?\s*:\s*(?P<text>.*)")
# As in: width, height : float
_NUMPY_ITEM = re.compile(r"(?P<names>\*{0,2}\w+(\s*,\s*\*{0,2}\w+)*)\s*(:.*)?")
_REST_ITEM = re.compile(r":(?P<kind>\w+)(\s+(?P<words>[^:]*))?:\s*(?P<text>.*)")
_REST_PARAMETERS = frozenset({"param", "parameter", "arg", "argument", "key", "keyword"})


@dataclass(frozen=True, slots=True)
class Docstring:
    """What a docstring tells.

    Attributes:
        description: The text before the sections, paragraphs apart.
        parameters: Descriptions by parameter.
        returns: The description of the result; empty if there is none.
    """

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict[str, str])
    returns: str = ""


def parse_docstring(text: str | None) -> Docstring:
    """Read a docstring of any of the three styles; whatever is in none of them is description."""
    lines = inspect.cleandoc(text or "").splitlines()
    sections = list(_sections(lines))
    description, parameters, returns = "", dict[str, str](), ""
    for title, is_numpy, body in sections:
        if not title:
            description = _paragraphs(body)
        elif title in _PARAMETERS:
            parameters |= _items(body, _numpy_names if is_numpy else _google_names)
        elif title in _RETURNS:
            returns = _numpy_returns(body) if is_numpy else _google_returns(body)
        elif title == ":":
            parameters_here, returns_here = _rest(body)
            parameters |= parameters_here
            returns = returns_here or returns
    return Docstring(description, parameters, returns)


def _sections(lines: Sequence[str]) -> Iterator[tuple[str, bool, list[str]]]:
    """(title in lower case, whether it is underlined, lines); ``:`` is the title of a reST field list."""
    title, is_numpy, body = "", False, list[str]()
    skip = False
    for index, line in enumerate(lines):
        if skip:
            skip = False
            continue
        following = lines[index + 1] if index + 1 < len(lines) else ""
        heading = line.strip().lower()
        known = _PARAMETERS | _RETURNS | _OTHERS
        underlined = heading in known and _RULE.fullmatch(following.strip()) is not None
        colon = _SECTION.fullmatch(line)
        begins_rest = title != ":" and _REST_ITEM.match(line) is not None
        if underlined or (colon and colon["title"].lower() in known) or begins_rest:
            yield title, is_numpy, body
            title = ":" if begins_rest else heading.removesuffix(":")
            is_numpy, body, skip = underlined, [line] if begins_rest else [], underlined
        else:
            body.append(line)
    yield title, is_numpy, body


def _paragraphs(lines: Sequence[str]) -> str:
    paragraphs = "\n".join(line.strip() for line in lines).strip().split("\n\n")
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip())


def _google_names(line: str) -> tuple[list[str], str] | None:
    found = _GOOGLE_ITEM.fullmatch(line)
    return ([found["name"]], found["text"]) if found else None


def _numpy_names(line: str) -> tuple[list[str], str] | None:
    found = _NUMPY_ITEM.fullmatch(line)
    return ([name.strip(" *") for name in found["names"].split(",")], "") if found else None


def _items(lines: Sequence[str], names_of: Callable[[str], tuple[list[str], str] | None]) -> dict[str, str]:
    """Descriptions by name: an item begins at the section's own indent, its text may go on deeper."""
    filled = [line for line in lines if line.strip()]
    own = min((len(line) - len(line.lstrip()) for line in filled), default=0)
    texts: dict[str, list[str]] = {}
    names: list[str] = []
    for line in filled:
        begins = names_of(line.strip()) if len(line) - len(line.lstrip()) == own else None
        if begins is not None:
            names, text = begins
            texts |= {name: [text] for name in names}
        else:
            for name in names:
                texts[name].append(line.strip())
    return {name: " ".join(" ".join(parts).split()) for name, parts in texts.items()}


def _google_returns(lines: Sequence[str]) -> str:
    text = " ".join(" ".join(lines).split())
    head, colon, rest = text.partition(": ")
    is_type = (
        bool(colon) and re.fullmatch(r"[\w.\[\], |]+", head) is not None and " " not in head.split("[")[0]
    )
    return rest if is_type else text


def _numpy_returns(lines: Sequence[str]) -> str:
    filled = [line for line in lines if line.strip()]
    text = [line.strip() for line in filled if line.startswith(" ")]
    return " ".join(text) if text else " ".join(line.strip() for line in filled)


def _rest(lines: Sequence[str]) -> tuple[dict[str, str], str]:
    parameters: dict[str, list[str]] = {}
    returns: list[str] = []
    target: list[str] = []
    for line in lines:
        found = _REST_ITEM.match(line)
        if found is None:
            target.append(line.strip())
            continue
        words = (found["words"] or "").split()
        if found["kind"] in _REST_PARAMETERS and words:
            target = parameters.setdefault(words[-1].lstrip("*"), [])
        else:
            target = returns if found["kind"] in _RETURNS else []
        target.append(found["text"])
    joined = {name: " ".join(" ".join(parts).split()) for name, parts in parameters.items()}
    return joined, " ".join(" ".join(returns).split())
