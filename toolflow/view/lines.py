"""Text in the room that a terminal has, measured in cells: a wide character takes two."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.text import Text

_BETWEEN = " · "


@lru_cache(maxsize=512)
def cut(text: str, width: int) -> str:
    """The text in at most ``width`` cells, with an ellipsis where some of it is left out."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


@lru_cache(maxsize=512)
def wrap(text: str, width: int, most: int) -> tuple[str, ...]:
    """The text in lines of at most ``width`` cells, broken at spaces and inside words too long for a line.

    Args:
        text: One line of printable text.
        width: Cells in a line, at least 2.
        most: Lines at most, at least 1; the last one ends with an ellipsis where text is left out.
    """
    lines: list[str] = []
    line = ""
    room = width
    for word in text.split():
        size = cell_len(word)
        if line and size < room:
            line = f"{line} {word}"
            room -= size + 1
            continue
        if line:
            lines.append(line)
            if len(lines) > most:
                break
        *whole, line = chop_cells(word, width) or [word]
        lines += whole
        room = width - cell_len(line)
    lines.append(line)
    if len(lines) > most:
        lines = [*lines[: most - 1], cut(lines[most - 1] + "…", width)]
    return tuple(lines)


def flow(label: str, parts: Sequence[Text], width: int, *, gutter: int, most: int) -> list[Text]:
    """Parts one after another, as many a line as fit, behind a label.

    Args:
        label: Stands before the first line.
        parts: Never broken; one that is wider than a line is cut.
        width: Cells in a line, label included.
        gutter: Cells kept free for the label before every line; 0 sets the label just before the first part.
        most: Lines at most; the last one ends with an ellipsis where parts are left out.
    """
    heads = [Text(label.ljust(gutter) if gutter else f"{label} ", "dim"), Text(" " * (gutter or 2))]
    lines = [heads[0]]
    empty = True
    for part in parts:
        needed = part.cell_len + (0 if empty else len(_BETWEEN))
        if not empty and lines[-1].cell_len + needed > width:
            if len(lines) == most:
                lines[-1].append(" …", "dim")
                break
            lines.append(heads[1].copy())
            empty = True
        if not empty:
            lines[-1].append(_BETWEEN, "dim")
        lines[-1].append_text(part)
        empty = False
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines
