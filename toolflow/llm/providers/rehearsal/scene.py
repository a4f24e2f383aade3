"""What the values of one situation share: a place, a person, a product, a few days."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Final

from toolflow.llm.providers.rehearsal.lexicon import Place, Product, places, products, words

_FIRST_DAY: Final = date(2026, 2, 2)
_DAYS: Final = 400


class Scene:
    """What the values of one situation share: a place, a person, a product, a few days.

    Args:
        draw: The source of chance. What is never asked for is never drawn.
    """

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self._place: Place | None = None
        self._target: Place | None = None
        self._person: tuple[str, str] | None = None
        self._product: Product | None = None
        self._start: date | None = None
        self._nights = 0
        self.wanted = ""  # what is searched for

    @property
    def place(self) -> Place:
        """Where it happens."""
        if self._place is None:
            self._place = self.draw.choice(places())
        return self._place

    @property
    def target(self) -> Place:
        """Where a journey leads, another place than :attr:`origin`."""
        return self.place

    @property
    def origin(self) -> Place:
        """Where a journey begins."""
        if self._target is None:
            self._target = self.draw.choice([place for place in places() if place is not self.place])
        return self._target

    @property
    def person(self) -> tuple[str, str]:
        """First and last name of whom it is about."""
        if self._person is None:
            self._person = someone(self.draw)
        return self._person

    @property
    def product(self) -> Product:
        if self._product is None:
            self._product = self.draw.choice(products())
        return self._product

    @property
    def start(self) -> date:
        """The day on which it begins."""
        if self._start is None:
            self._start = _FIRST_DAY + timedelta(days=self.draw.randrange(_DAYS))
        return self._start

    @property
    def end(self) -> date:
        """The day on which it ends, after :attr:`start`."""
        if not self._nights:
            self._nights = self.draw.randint(2, 7)
        return self.start + timedelta(days=self._nights)

    def settle(self, kind: str, value: object) -> None:
        """Take over what is known, so that the rest agrees with it: a city brings its country."""
        text = str(value).lower()
        if kind in {"city", "city_to", "airport_to", "airport"}:
            found = next(
                (place for place in places() if text in {place.city.lower(), place.airport.lower()}), None
            )
            self._place = found or self._place
        elif kind in {"city_from", "airport_from"}:
            found = next(
                (place for place in places() if text in {place.city.lower(), place.airport.lower()}), None
            )
            self._target = found or self._target
        elif kind in {"date", "date_start"}:
            self._start = _day(str(value)) or self._start
        elif kind == "keyword":
            self.wanted = str(value)
            if value in words("last"):
                self._person = (self.draw.choice(words("female")), str(value))
        elif kind == "email" and "." in text.partition("@")[0]:
            first, _, last = text.partition("@")[0].partition(".")
            self._person = (first.title(), last.title())
        elif kind == "person" and " " in text:
            first, _, last = str(value).partition(" ")
            self._person = (first, last)
        elif kind == "product":
            self._product = next((one for one in products() if one.name.lower() == text), self._product)
        elif kind in {"category", "product_category"} and self._product is None:
            fitting = [one for one in products() if one.category == text]
            self._product = self.draw.choice(fitting) if fitting else None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def someone(draw: random.Random) -> tuple[str, str]:
    """A first and a last name."""
    return draw.choice(words(draw.choice(("female", "male")))), draw.choice(words("last"))
