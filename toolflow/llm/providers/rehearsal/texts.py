"""Strings that fit their schema: by format, by a description's examples, by name, by pattern, by length."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from toolflow.llm.providers.rehearsal.kinds import kind_of
from toolflow.llm.providers.rehearsal.lexicon import words
from toolflow.llm.providers.rehearsal.patterns import from_pattern
from toolflow.llm.providers.rehearsal.scene import Scene
from toolflow.llm.providers.rehearsal.schemas import bound, examples_in, like, text_of
from toolflow.llm.providers.rehearsal.site import Site
from toolflow.llm.providers.rehearsal.values import code, draw_kind
from toolflow.llm.providers.rehearsal.words import singular, split_name

_DATE_STYLES: Final = (
    (re.compile(r"MM[/-]DD[/-]YYYY|mm/dd/yyyy", re.I), "%m/%d/%Y"),
    (re.compile(r"DD/MM/YYYY", re.I), "%d/%m/%Y"),
    (re.compile(r"DD-MM-YYYY", re.I), "%d-%m-%Y"),
    (re.compile(r"\bYYYYMMDD\b", re.I), "%Y%m%d"),
    (re.compile(r"YYYY/MM/DD", re.I), "%Y/%m/%d"),
)
_ABOUT: Final = re.compile(r"\b(name|title|genre|type) of (?:the |an? |this )?([a-z]+)", re.I)
_VAGUE: Final = frozenset(("genre", "name", "title", "text"))
_FEW_LETTERS: Final = 3
_LONGEST: Final = 10_000


def matches(pattern: str, value: str) -> bool:
    """Whether a text matches a schema's pattern; none matches a pattern that is itself wrong."""
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return False


def draw_text(name: str, schema: Mapping[str, Any], site: Site) -> str:
    """A string that fits ``format``, ``pattern``, lengths, the description's examples and the name."""
    text = _free_text(name, schema, site)
    pattern = text_of(schema, "pattern")
    if pattern and not matches(pattern, text):
        shaped = from_pattern(pattern, site.scene.draw)
        known = (shaped, schema.get("default"), *_list(schema.get("examples")))
        text = next((one for one in known if isinstance(one, str) and matches(pattern, one)), text)
    least = int(min(bound(schema, "minLength", 0), _LONGEST))
    most = int(max(bound(schema, "maxLength", _LONGEST), 0))
    if len(text) > most:
        text = text[:most].rstrip() if len(text[:most].rstrip()) >= least else text[:most]
    if len(text) < least:
        text += "".join(site.scene.draw.choices("abcdefghijkmnpqrstuvwxyz", k=least - len(text)))
    return text


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


_FORMATS: Final = {
    "email": "email", "date-time": "datetime", "uri": "url", "url": "url", "uuid": "uuid", "ipv4": "ip",
    "hostname": "domain", "idn-email": "email", "uri-reference": "url", "iri": "url",
}  # fmt: skip


def _free_text(name: str, schema: Mapping[str, Any], site: Site) -> str:  # noqa: PLR0911  one return a source
    kind, style = kind_of(name, site.holder), text_of(schema, "format")
    formatted = _formatted(style, kind, site, late=not _ENDS.isdisjoint(split_name(name)))
    if formatted:
        return formatted
    scene, description = site.scene, text_of(schema, "description")
    about = _ABOUT.search(description) if kind in _VAGUE else None
    if about is not None:
        told = kind_of(f"{about[2]} {about[1]}")
        kind = kind if told in _VAGUE else told
    examples = [one for one in _list(schema.get("examples")) if isinstance(one, str)]
    examples += examples_in(description)
    coded = [one for one in examples if _is_code(one)] if kind in _CODED else []
    if coded:
        return like(scene.draw.choice(coded), scene.draw)
    if kind == "id":
        return code(scene.draw, _prefix(name, site.holder))
    if kind in {"city", "city_from", "city_to", "airport"} and "IATA" in description:
        kind = "airport_from" if kind == "city_from" else "airport_to"
    if examples and kind in _LOOSE:
        return scene.draw.choice(examples)
    drawn = draw_kind(kind, scene)
    if drawn is None:
        return scene.draw.choice(words("choice") if site.name or not examples else examples)
    if kind in {"date", "date_start", "date_end", "birth_date"}:
        return _styled_date(str(drawn), description)
    return f"{drawn:.2f}" if isinstance(drawn, float) and kind in _MONEY else str(drawn)


def _formatted(style: str, kind: str, site: Site, *, late: bool) -> str:
    """A text of a ``format``; empty where the format is none that is known."""
    draw = site.scene.draw
    match style:
        case "date":
            return str(draw_kind(kind if kind in {"date_end", "birth_date"} else "date", site.scene))
        case "time":
            return f"{draw_kind('time', site.scene)}:00Z"
        case "date-time":
            return moment(site.scene, site.place, late=late or kind in {"time_end", "date_end"})
        case "duration":
            return f"PT{draw.randint(20, 180)}M"
        case "ipv6":
            return f"2001:db8::{draw.randint(1, 999):x}"
        case _:
            return str(draw_kind(_FORMATS[style], site.scene)) if style in _FORMATS else ""


_CODED: Final = frozenset(
    ("id", "code", "text", "name", "number", "seat", "gate", "count", "small", "people", "weekday")
)
_LOOSE: Final = frozenset(
    "text name title topic keyword description message id status word unit object substance "
    "product_category category "
    "other_person count course plan seat_class condition issue note percent expression path file "
    "language_code quote".split()
)
_ENDS: Final = frozenset(
    ("arrive", "arrives", "end", "ends", "until", "finish", "finishes", "close", "closes")
)
_MONEY: Final = frozenset(("price", "total", "balance", "amount", "salary", "min_price", "max_price"))


def _is_code(example: str) -> bool:
    return " " not in example and any(letter.isdigit() for letter in example) and not example[:4].isdigit()


def _prefix(name: str, holder: str) -> str:
    told = [word for word in split_name(name) if word not in {"id", "ids", "identifier", "key", "ref"}]
    told = told or [word for word in split_name(holder) if word not in {"result", "results", "data", "items"}]
    return "".join(singular(word)[0] for word in told).upper()[:_FEW_LETTERS] or "REF"


def moment(scene: Scene, place: int = 0, *, late: bool = False) -> str:
    """A date and time as RFC 3339; later for later entries of a list."""
    hour = min(8 + scene.draw.randint(0, 1) + 2 * place + (3 if late else 0), 22)
    return f"{scene.start.isoformat()}T{hour:02d}:{scene.draw.choice((0, 15, 30, 45)):02d}:00Z"


def _styled_date(text: str, description: str) -> str:
    for told, style in _DATE_STYLES:
        if told.search(description):
            return date.fromisoformat(text).strftime(style)
    return text
