"""A sensible result for a tool whose catalogue does not tell what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from toolflow.llm.providers.rehearsal.kinds import kind_of
from toolflow.llm.providers.rehearsal.scene import Scene
from toolflow.llm.providers.rehearsal.schema_values import write_value
from toolflow.llm.providers.rehearsal.site import MISSING, Site
from toolflow.llm.providers.rehearsal.values import code
from toolflow.llm.providers.rehearsal.words import is_plural, singular, split_name, stem
from toolflow.llm.providers.rehearsal.world import World, is_write

# What services of a subject tell, by a word of the tool's name or description.
_SUBJECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "weather": ("weather_condition", "temperature", "humidity_percent", "wind_speed"),
    "forecast": ("weather_condition", "temperature", "rain_chance_percent"),
    "stock": ("symbol", "price", "change_percent", "currency"),
    "price": ("price", "currency"),
    "flight": ("airline", "flight_number", "departure_time", "arrival_time", "price"),
    "hotel": ("hotel_name", "rating", "price_per_night"),
    "restaurant": ("restaurant_name", "cuisine", "rating", "address"),
    "news": ("headline", "news_source"),
    "movie": ("movie_name", "genre", "rating", "year"),
    "film": ("movie_name", "genre", "rating", "year"),
    "song": ("song_name", "artist", "album"),
    "music": ("song_name", "artist", "album"),
    "book": ("book_title", "author", "rating"),
    "product": ("product_name", "price", "rating"),
    "recipe": ("recipe_name", "cooking_minutes", "calories"),
    "event": ("event_name", "venue", "date", "price"),
    "job": ("job_title", "company", "salary"),
    "user": ("name_of_person", "email", "phone"),
    "customer": ("full_name", "email", "phone"),
    "team": ("team", "league", "rating"),
    "match": ("team", "opponent", "venue", "date"),
    "order": ("order_id", "order_status", "total_price"),
    "convert": ("amount", "exchange_rate"),
    "translate": ("message", "language"),
}  # fmt: skip
_OPAQUE: Final = frozenset(
    ("get", "the", "by", "for", "of", "from", "to", "a", "all", "with", "and", "api", "in", "on")
)


def invent_result(world: World, scene: Scene, description: str) -> dict[str, Any]:
    """A result made of the tool's name, its description and the arguments."""
    words = split_name(world.tool)
    noun = next(
        (word for word in words[1:] if word not in _OPAQUE and stem(word)[0] != "="),
        words[-1] if words else "item",
    )
    echoed = {
        name: value for name, value in world.arguments.items() if isinstance(value, (str, int, float, bool))
    }
    echoed = dict(list(echoed.items())[:3])
    if is_write(world.tool):
        thing = singular(noun)
        made = {f"{thing}_id": code(scene.draw, thing[:2].upper())}
        status = (*world.outcomes(), "confirmed")[0]
        return {**(made if f"{thing}_id" not in echoed else {}), **echoed, "status": status}
    told = f"{' '.join(words)} {description.lower()}"
    fields = next((names for word, names in _SUBJECTS.items() if word in told), None)
    if is_plural(noun) or words[:1] in {("search",), ("list",), ("find",)}:
        entries = [
            _entry(fields or ("name", "description"), world, Scene(scene.draw), place)
            for place in range(scene.draw.randint(2, 3))
        ]
        many = noun if is_plural(noun) else f"{noun}s"
        return {many: entries, "total_results": len(entries)}
    return {**echoed, **_entry(fields or _own_fields(noun), world, scene, 0)}


def _own_fields(noun: str) -> tuple[str, ...]:
    return (noun, "updated_at") if kind_of(noun) != "text" else ("status", "summary", "updated_at")


def _entry(fields: tuple[str, ...], world: World, scene: Scene, place: int) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for name in fields:
        known = world.known(name, listed=True)
        number = kind_of(name) in _NUMBERS
        site = Site({}, scene, name=name, place=place)
        entry[name] = (
            write_value({"type": "number" if number else "string"}, site) if known is MISSING else known
        )
    return entry


_NUMBERS: Final = frozenset(
    "price temperature percent rating wind amount total year minutes calories salary exchange".split()
)
