"""Which names a user may have meant by one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final

_NAMED: Final = 3
_SHORTEST_PART: Final = 3


def names_like(name: str, names: Iterable[str], most: int = _NAMED) -> list[str]:
    """Those of the names that are spelt most like this one, whatever their case, or hold it as a part."""
    folded: dict[str, str] = {}
    for known in names:
        folded.setdefault(known.casefold(), known)
    wanted = name.casefold()
    alike = difflib.get_close_matches(wanted, folded, n=most)
    holding = (
        known for known in folded if len(wanted) >= _SHORTEST_PART and wanted in known and known not in alike
    )
    return [folded[known] for known in islice((*alike, *holding), most)]


def hint_of_names(name: str, names: Collection[str]) -> str:
    """What to say of names to somebody who gave one that is not among them."""
    close = names_like(name, names)
    if close:
        return f"Names like it: {', '.join(map(repr, close))}."
    shown = [repr(known) for known in islice(names, _NAMED)]
    more = f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else ""
    return f"No name is like it; there are {', '.join(shown)}{more}." if shown else "There are no tools."
