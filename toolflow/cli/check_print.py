"""What ``toolflow check`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from toolflow.dialogue.dialogue import dialogue_id
from toolflow.rework.recheck import Recheck
from toolflow.text import one_line

_MOST_SHOWN = 20


def print_recheck(found: Recheck, run: Path, *, applied: bool, seconds: float) -> None:
    """Print what was found in a run.

    Args:
        found: What was found.
        run: The run directory.
        applied: Whether the files were written by it.
        seconds: What it took.
    """
    console = Console()
    for text, style in (*_standings(found, seconds), *_stuck(found), *_changes(found)):
        console.print(Text(text, style), soft_wrap=True)
    if found.agrees and found.stuck:
        return
    if found.agrees:
        console.print(Text("dialogues.jsonl and rejected.jsonl say the same.", "green"))
    elif applied:
        words = f"Written to {run}. The same toolflow synth command replaces what fell out."
        console.print(Text(words, "green"), soft_wrap=True)
    else:
        console.print(Text("--apply writes the files anew by this."))


def _standings(found: Recheck, seconds: float) -> Iterator[tuple[str, str]]:
    counts = ", ".join(f"{number:,} {state}" for state, number in found.standings.items() if number)
    spare = f", {found.spare:,} spare" if found.spare else ""
    checked = f"{found.checked:,} dialogues checked in {seconds:.1f} s without an LLM call"
    yield f"{checked}: {counts or 'none'}{spare}", ""
    for reason, number in found.reasons.most_common():
        yield f"  {number:,} × {one_line(reason, 60)}", ""


def _stuck(found: Recheck) -> Iterator[tuple[str, str]]:
    if found.stuck:
        yield f"{len(found.stuck):,} cannot be played again and stay as they are:", "yellow"
    for index, why in list(found.stuck.items())[:_MOST_SHOWN]:
        yield f"  {dialogue_id(index)}  {one_line(why, 120)}", ""
    if len(found.stuck) > _MOST_SHOWN:
        yield f"  and {len(found.stuck) - _MOST_SHOWN:,} more; --json lists them all", ""


def _changes(found: Recheck) -> Iterator[tuple[str, str]]:
    if found.damaged:
        yield f"{found.damaged:,} lines of the files are damaged or doubled.", "yellow"
    if found.reworded:
        yield f"{found.reworded:,} lines read otherwise and say the same.", "yellow"
    if found.changes:
        yield f"{len(found.changes):,} dialogues stand elsewhere than their lines say:", "yellow"
    for change in found.changes[:_MOST_SHOWN]:
        detail = f": {one_line(change.detail, 100)}" if change.detail else ""
        yield f"  {dialogue_id(change.index)}  {change.before} → {change.after}{detail}", ""
    if len(found.changes) > _MOST_SHOWN:
        yield f"  and {len(found.changes) - _MOST_SHOWN:,} more; --json lists them all", ""
