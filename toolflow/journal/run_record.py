"""run.json and the inputs beside it: what a run is made from, and how another one differs.

Beside run.json the folder ``inputs`` keeps the catalogue and the prompts as they were read, and the tool
graph where it is not the one that the embedded encoder gives, so that a run can be judged again, explained
and compared when the originals have changed or gone; and a copy of run.json, without which all that was paid
would be of no use.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import msgspec

from toolflow.errors import RunDirectoryError
from toolflow.journal.lines import replace_file, replace_json, unusable

FORMAT: Final = 2
"""Version of the run directory's layout."""

CATALOGUE: Final = "catalogue.jsonl.gz"
GRAPH: Final = "tools.graph"
"""Names of the catalogue and the graph among the inputs; the others are prompts, ``<role>.j2``."""

Inputs = Mapping[str, bytes]
"""Contents of the input files by their names."""

_NAME: Final = "run.json"
_MOST_NAMES = 5
_MOST_TEXT = 70
_BEFORE_CHANGE = 20


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The content of run.json.

    Attributes:
        fingerprint: Everything that determines the data set.
        facts: How the run was carried out last: ``config``, ``toolflow``, ``rehearsal``, ``forked_from``;
            and ``processes``, how many have been at it.
    """

    fingerprint: Mapping[str, Any]
    facts: Mapping[str, Any]


def inputs_folder(run: Path) -> Path:
    """Where a run keeps what it was made from."""
    return run / "inputs"


def read_record(run: Path) -> RunRecord | None:
    """What run.json says; None where there is none.

    Raises:
        RunDirectoryError: It cannot be read, is something else, or has another layout.
    """
    unreadable: RunDirectoryError | None = None
    for path in (run / _NAME, inputs_folder(run) / _NAME):
        try:
            document = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
            layout, fingerprint = document.pop("format"), dict(document.pop("fingerprint"))
        except FileNotFoundError:
            continue
        except NotADirectoryError as error:
            raise _no_run(run) from error
        except OSError as error:
            raise unusable(path, error) from error
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            unreadable = unreadable or RunDirectoryError(
                f"{path} is not the run.json of a run: {error}", hint="Choose another folder with -o RUN."
            )
            continue
        if layout == FORMAT:
            return RunRecord(fingerprint, document)
        made_by = document.get("toolflow", "another version")
        raise RunDirectoryError(
            f"{run} was made by ToolFlow {made_by} with layout {layout} of the run directory; this ToolFlow "
            f"reads layout {FORMAT}",
            hint="Go on with the version that began it, or begin a new run with another -o RUN.",
        )
    if unreadable is not None:
        raise unreadable
    return None


def require_record(run: Path) -> RunRecord:
    """What run.json says.

    Raises:
        RunDirectoryError: The folder holds no run, or one that cannot be read.
    """
    record = read_record(run)
    if record is None:
        raise _no_run(run)
    return record


def write_record(run: Path, record: RunRecord) -> None:
    """Write run.json anew, and the copy that stands in for one that is lost.

    Raises:
        RunDirectoryError: It cannot be written.
    """
    document = {"format": FORMAT, "fingerprint": record.fingerprint, **record.facts}
    _make(inputs_folder(run))
    for path in (inputs_folder(run) / _NAME, run / _NAME):
        replace_json(path, document)


def write_inputs(run: Path, inputs: Inputs) -> None:
    """Keep the inputs of a run that begins.

    Raises:
        RunDirectoryError: They cannot be written.
    """
    folder = inputs_folder(run)
    _make(folder)
    for name, content in inputs.items():
        replace_file(folder / name, [content])


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise unusable(folder, error) from error


def differences(run: Path, known: Mapping[str, Any], wanted: Mapping[str, Any], now: Inputs) -> list[str]:
    """How a run differs from one that is wanted, a line each: which key, there → here.

    Args:
        run: The run that is there, for its inputs.
        known: Its fingerprint.
        wanted: The other one's.
        now: The other one's inputs.
    """
    found: list[str] = []
    for key in sorted(known.keys() | wanted.keys()):
        before, after = known.get(key), wanted.get(key)
        if before == after:
            continue
        if key == "catalogue":
            found.append(f"catalogue: {_catalogues(run, before, after, now)}")
        elif key == "prompts" and isinstance(before, dict) and isinstance(after, dict):
            names = [f"{role}.j2" for role in sorted(before) if before[role] != after.get(role)]
            found += [f"prompts: {name} {_first_change(run, name, now)}" for name in names]
        else:
            found += _values(before, after, key)
    return found


def _values(before: object, after: object, where: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _values(before.get(key), after.get(key), f"{where}.{key}")
    elif before != after:
        yield f"{where}: {_short(before)} → {_short(after)}"


def _catalogues(run: Path, before: Any, after: Any, now: Inputs) -> str:
    """How many tools there and here, and what became of them as far as the inputs tell."""
    there, here = (one.get("tools", "?") if isinstance(one, dict) else "?" for one in (before, after))
    counts = f"{there} tools → {here} tools"
    try:
        old = _tools((inputs_folder(run) / CATALOGUE).read_bytes())
        new = _tools(now[CATALOGUE])
    except (OSError, EOFError, KeyError, msgspec.MsgspecError):
        return counts
    changed = [name for name in old if name in new and old[name] != new[name]]
    parts = [
        f"{len(names)} {what} ({', '.join(names[:_MOST_NAMES])}{', …' if len(names) > _MOST_NAMES else ''})"
        for names, what in (
            ([name for name in new if name not in old], "added"),
            ([name for name in old if name not in new], "removed"),
            (changed, "changed"),
        )
        if names
    ]
    return f"{counts}: {', '.join(parts) or 'the same ones in another order'}"


class _Named(msgspec.Struct):
    name: str


def _tools(canonical: bytes) -> dict[str, bytes]:
    decoder = msgspec.json.Decoder(_Named)
    return {decoder.decode(line).name: line for line in gzip.decompress(canonical).splitlines()}


def _first_change(run: Path, name: str, now: Inputs) -> str:
    try:
        old = (inputs_folder(run) / name).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return "has changed"
    new = now.get(name, b"").decode("utf-8", "replace").splitlines()
    for number, (before, after) in enumerate(zip(old, new, strict=False), 1):
        if before != after:
            same = sum(
                1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False))
            )
            start = max(same - _BEFORE_CHANGE, 0)
            return f"has changed; first in line {number}: {_short(before[start:])} → {_short(after[start:])}"
    return f"has changed: {len(old)} lines → {len(new)} lines"


def _short(value: object) -> str:
    if value is None:
        return "not set"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"


def _no_run(run: Path) -> RunDirectoryError:
    return RunDirectoryError(f"{run} holds no run", hint="Name the folder given to toolflow synth -o.")


InputsReader = Callable[[], Inputs]
"""Gives the inputs when they are needed: packing a large catalogue takes a moment."""
