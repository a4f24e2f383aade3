"""Draws believable values: each kind from its list or its law, alike where one scene ties them together."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Final

from toolflow.llm.providers.rehearsal.kinds import LISTS
from toolflow.llm.providers.rehearsal.lexicon import words
from toolflow.llm.providers.rehearsal.scene import Scene, someone

Plain = str | int | float

_HEX: Final = "0123456789abcdef"
_CODE: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def _money(low: float, high: float) -> Callable[[Scene], float]:
    def draw(scene: Scene) -> float:
        # Prices cluster at the low end and end in .0, .5 or .99: uniform cents look made up.
        span = scene.draw.random() ** 2 * (high - low) + low
        return float(round(span)) + scene.draw.choice((0.0, 0.0, 0.5, -0.01))

    return draw


def _whole(low: int, high: int, step: int = 1) -> Callable[[Scene], int]:
    return lambda scene: scene.draw.randrange(low, high + 1, step)


def _tenths(low: float, high: float) -> Callable[[Scene], float]:
    return lambda scene: round(scene.draw.uniform(low, high), 1)


def _clock(first: int, last: int) -> Callable[[Scene], str]:
    return lambda scene: (
        f"{scene.draw.randint(first, last):02d}:{scene.draw.choice((0, 0, 15, 30, 30, 45)):02d}"
    )


def _email(scene: Scene) -> str:
    first, last = scene.person
    return f"{first}.{last}@example.com".lower()


def _phone(scene: Scene) -> str:
    return f"+1-555-{scene.draw.randint(100, 999)}-{scene.draw.randint(1000, 9999)}"


def code(draw: random.Random, prefix: str = "") -> str:
    """A reference such as ``BK-48213``, or six letters and digits where there is no prefix."""
    if prefix:
        return f"{prefix}-{draw.randint(10000, 99999)}"
    return "".join(draw.choices(_CODE, k=6))


def _username(scene: Scene) -> str:
    return f"{scene.draw.choice(words('username'))}_{scene.person[0].lower()}{scene.draw.randint(7, 99)}"


def _product(scene: Scene) -> str:
    if not scene.wanted:
        return scene.product.name
    return f"{scene.draw.choice(words('noun'))} {scene.wanted.title()}"


def _place_name(scene: Scene) -> str:
    if not scene.wanted:
        return scene.draw.choice(words("place_name"))
    return f"{scene.draw.choice(('Old Town', 'Riverside', 'Harbour', 'Central'))} {scene.wanted.title()}"


def _on_subject(scene: Scene, usual: str) -> str:
    if not scene.wanted:
        return scene.draw.choice(words(usual))
    kind = scene.draw.choice(("notes", "overview", "first draft", "plan"))
    return f"{scene.wanted[:1].upper()}{scene.wanted[1:]} - {kind}"


def _url(scene: Scene) -> str:
    return (
        f"https://www.{scene.draw.choice(words('noun')).lower()}.example.com/{scene.draw.randint(100, 9999)}"
    )


_LAWS: Final[Mapping[str, Callable[[Scene], Plain]]] = {
    "plate": lambda scene: (
        f"{''.join(scene.draw.choices('ABCDEFGHKLMNPRSTX', k=2))}-{scene.draw.randint(100, 999)}"
    ),
    "gate": lambda scene: f"{scene.draw.choice('ABCD')}{scene.draw.randint(1, 40)}",
    "seat": lambda scene: f"{scene.draw.randint(3, 32)}{scene.draw.choice('ABCDEF')}",
    "passport": lambda scene: f"{scene.draw.choice('CKLPX')}{scene.draw.randint(10_000_000, 99_999_999)}",
    "flight": lambda scene: (
        f"{scene.draw.choice(('LH', 'KL', 'BA', 'AF', 'IB', 'TP'))}{scene.draw.randint(100, 1999)}"
    ),
    "seconds": _whole(140, 320),
    "few": _whole(0, 3),
    "clock_early": lambda scene: f"{scene.draw.randint(7, 9):02d}:{scene.draw.choice((0, 30)):02d}",
    "clock_late": lambda scene: f"{scene.draw.randint(17, 22):02d}:{scene.draw.choice((0, 30)):02d}",
    "index": _whole(8, 80),
    "moment_of": _clock(9, 20),
    "email": _email,
    "phone": _phone,
    "url": _url,
    "image_url": lambda scene: f"https://images.example.com/{scene.draw.randint(1000, 99999)}.jpg",
    "domain": lambda scene: f"{scene.draw.choice(words('noun')).lower()}.example.com",
    "ip": lambda scene: f"203.0.113.{scene.draw.randint(2, 250)}",
    "hash": lambda scene: "".join(scene.draw.choices(_HEX, k=16)),
    "uuid": lambda scene: "-".join("".join(scene.draw.choices(_HEX, k=size)) for size in (8, 4, 4, 4, 12)),
    "file": lambda scene: (
        f"{scene.draw.choice(('report', 'notes', 'budget', 'photo', 'agenda'))}_"
        f"{scene.draw.randint(1, 99)}.{scene.draw.choice(('pdf', 'txt', 'csv'))}"
    ),
    "path": lambda scene: scene.draw.choice(("documents", "photos", "projects", "archive")),
    "code": lambda scene: code(scene.draw),
    "id": lambda scene: code(scene.draw, "ID"),
    "airport": lambda scene: scene.target.airport,
    "airport_to": lambda scene: scene.target.airport,
    "airport_from": lambda scene: scene.origin.airport,
    "city": lambda scene: scene.place.city,
    "city_to": lambda scene: scene.target.city,
    "city_from": lambda scene: scene.origin.city,
    "country": lambda scene: scene.place.country,
    "country_code": lambda scene: scene.place.country_code,
    "state": lambda scene: scene.place.state,
    "timezone": lambda scene: scene.place.timezone,
    "latitude": lambda scene: scene.place.latitude,
    "longitude": lambda scene: scene.place.longitude,
    "currency": lambda scene: scene.place.currency,
    "currency_from": lambda scene: scene.draw.choice(("USD", "GBP", "CAD")),
    "currency_to": lambda scene: scene.draw.choice(("EUR", "JPY", "CHF")),
    "zip": lambda scene: f"{scene.draw.randint(10000, 98999)}",
    "street": lambda scene: f"{scene.draw.randint(2, 180)} {scene.draw.choice(words('street'))}",
    "date": lambda scene: scene.start.isoformat(),
    "date_start": lambda scene: scene.start.isoformat(),
    "date_end": lambda scene: scene.end.isoformat(),
    "birth_date": lambda scene: (date(1960, 1, 1) + timedelta(days=scene.draw.randrange(15_000))).isoformat(),
    "datetime": lambda scene: f"{scene.start.isoformat()}T{_clock(8, 19)(scene)}:00",
    "time": _clock(8, 19),
    "time_end": _clock(20, 22),
    "hours": lambda scene: f"0{scene.draw.randint(7, 9)}:00-{scene.draw.randint(17, 22)}:00",
    "year": _whole(2019, 2025),
    "month": lambda scene: scene.start.strftime("%B"),
    "weekday": lambda scene: scene.start.strftime("%A"),
    "nights": _whole(2, 7),
    "minutes": _whole(20, 180, 5),
    "first_name": lambda scene: scene.person[0],
    "last_name": lambda scene: scene.person[1],
    "person": lambda scene: " ".join(scene.person),
    "other_person": lambda scene: " ".join(someone(scene.draw)),
    "username": _username,
    "product": _product,
    "brand": lambda scene: scene.product.brand,
    "product_category": lambda scene: scene.product.category,
    "rating": _tenths(3.4, 5.0),
    "reviews": _whole(12, 900),
    "count": _whole(2, 12),
    "humidity": _whole(35, 90),
    "before": _whole(10, 60, 5),
    "min_price": _whole(20, 60, 10),
    "max_price": _whole(80, 300, 10),
    "salary": _whole(32_000, 96_000, 500),
    "balance": _money(240, 6_000),
    "total": _money(40, 600),
    "price": _money(15, 320),
    "fare": _money(70, 620),
    "night_price": _money(58, 260),
    "meal_price": _money(6, 28),
    "seat_price": _money(8, 17),
    "amount": _whole(20, 600, 5),
    "exchange": lambda scene: round(scene.draw.uniform(0.7, 1.6), 4),
    "percent": _whole(5, 90),
    "age": _whole(21, 68),
    "temperature": _whole(4, 29),
    "wind": _whole(3, 34),
    "distance": _tenths(0.4, 24.0),
    "weight": _tenths(0.5, 82.0),
    "height": _whole(20, 190),
    "calories": _whole(120, 780, 5),
    "step": _whole(1_800, 12_500),
    "people": _whole(1, 5),
    "small": _whole(1, 3),
    "quantity": _whole(1, 4),
    "page": lambda _scene: 1,
    "limit": _whole(3, 10),
    "gender": lambda scene: scene.draw.choice(("female", "male")),
    "status": lambda scene: scene.draw.choice(("confirmed", "active", "completed")),
    "ok": lambda _scene: "OK",
    "playlist": lambda scene: f"{scene.draw.choice(('Morning', 'Road Trip', 'Rainy Day', 'Focus'))} Mix",
    "title": lambda scene: _on_subject(scene, "headline"),
    "document": lambda scene: _on_subject(scene, "document"),
    "subject": lambda scene: _on_subject(scene, "subject"),
    "place_name": _place_name,
    "place_type": lambda scene: (
        scene.wanted if scene.wanted in words("place_type") else scene.draw.choice(words("place_type"))
    ),
    "name": lambda scene: scene.draw.choice(words("noun")),
}


def draw_kind(kind: str, scene: Scene) -> Plain | None:
    """A value of a kind, or None where the kind is known by no list and no law."""
    law = _LAWS.get(kind)
    if law is not None:
        return law(scene)
    return scene.draw.choice(words(kind)) if kind in LISTS else None
