"""Enriches a catalogue: fills its gaps, then evolves tools; what was invented is marked, and never lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolflow.catalog.entry import EntryError
from toolflow.catalog.load import load_catalogue
from toolflow.catalog.tool import Tool
from toolflow.catalog.validate import tool_from
from toolflow.catalog.write import write_canonical
from toolflow.curation.filling import (
    Fill,
    Gaps,
    fill_in,
    filled_before,
    filling_format,
    gaps_of,
    read_filling,
)
from toolflow.curation.growing import evolve_tools
from toolflow.curation.inventor import Inventor
from toolflow.curation.ledger import Ledger
from toolflow.curation.prompts import prompt
from toolflow.curation.session import Progress, Session, work_through
from toolflow.dialogue.message import Message
from toolflow.graph.encoder import Encoder


@dataclass(frozen=True, slots=True)
class Enrichment:
    """What came out.

    Attributes:
        tools: The enriched catalogue: the tools as they came, then the evolved ones.
        kept: Tools that an earlier run had enriched or evolved.
        filled: How many tools had their ``description``, ``parameters`` or ``returns`` filled in, this time.
        evolved: New tools, this time.
        missing: Tools with gaps that should have been filled, and tools that should have been evolved.
        failed: How many attempts at a tool failed, by reason.
        examples: What the first failure of each reason said.
        calls: Calls that were made.
    """

    tools: tuple[Tool, ...]
    kept: int
    filled: Mapping[str, int]
    evolved: int
    missing: int
    failed: Mapping[str, int]
    examples: Mapping[str, str]
    calls: int


def unfinished_path(output: Path) -> Path:
    """The file beside an output that keeps what is done before the output is written."""
    return output.with_name(f"{output.name}.part")


async def enrich(
    session: Session,
    tools: Sequence[Tool],
    output: Path,
    *,
    fills: Sequence[Fill],
    evolve: int,
    encoder: Encoder,
    progress: Progress,
) -> Enrichment:
    """Enrich a catalogue and write it.

    What an earlier run put into the output, or was stopped over, is kept and not asked for again; only what
    the rehearsal model invented is replaced when a real one answers.

    Args:
        session: The way to the model.
        tools: The catalogue; at least one tool, names distinct.
        output: File of canonical JSONL to write.
        fills: What to fill in.
        evolve: How many evolved tools the output shall hold.
        encoder: Tells near-duplicates, and results that no tool takes; called inside the event loop.
        progress: Called as the work goes on.

    Raises:
        CatalogueError: The output is there but is no catalogue, or cannot be written.
        LLMError: The endpoint refuses, or has stopped answering; what came before is kept.
        ToolFlowError: The file beside the output cannot be read or written.
    """
    before = _read(output)
    unfinished = unfinished_path(output)
    with Ledger(unfinished, dict[str, Any]) as ledger:
        inventor = Inventor(session, ledger, progress)
        started = _readable(ledger.lines)
        filled = await _fill(inventor, tools, {tool.name: tool for tool in (*before, *started)}, fills)
        own = {tool.name for tool in tools}
        accepted = [tool for tool in before if inventor.may_keep(tool) and tool.name not in own]
        # The catalogue may be the output of an earlier run, with evolved tools among its own.
        there = [*filter(inventor.may_keep, filled), *accepted]
        evolved = await evolve_tools(
            inventor, filled, evolve, accepted=there, started=started, encoder=encoder
        )
        result = Enrichment(
            tools=(*filled, *accepted, *evolved),
            kept=inventor.kept + len(accepted),
            filled=dict(inventor.filled),
            evolved=len(evolved),
            missing=sum(bool(gaps_of(tool, fills)) for tool in filled)
            + max(evolve - len(there) - len(evolved), 0),
            failed=dict(inventor.failed),
            examples=inventor.examples,
            calls=session.model.calls,
        )
        write_canonical(result.tools, output)
    unfinished.unlink(missing_ok=True)
    return result


async def _fill(
    inventor: Inventor, tools: Sequence[Tool], earlier: Mapping[str, Tool], fills: Sequence[Fill]
) -> list[Tool]:
    filled = list(tools)
    for place, tool in enumerate(tools):
        known = earlier.get(tool.name)
        taken = filled_before(tool, known, inventor.keeps) if known is not None else None
        if taken is not None:
            inventor.kept += 1
            filled[place] = taken
    jobs = [(place, gaps) for place, tool in enumerate(filled) if (gaps := gaps_of(tool, fills))]

    async def fill(job: tuple[int, Gaps]) -> None:
        place, gaps = job
        tool = filled[place]
        template = prompt("enrich")
        filling = await inventor.ask(
            "filler",
            place,
            (
                Message("system", template.render("fill_system")),
                Message("user", template.render("fill", tool=tool, gaps=gaps)),
            ),
            filling_format(gaps),
            lambda text: read_filling(text, tool, gaps),
        )
        filled[place] = fill_in(tool, filling, inventor.mark)
        inventor.ledger.append(filled[place].to_canonical())
        inventor.filled.update(
            {"description": gaps.description, "parameters": bool(gaps.parameters), "returns": gaps.returns}
        )

    inventor.count(
        await work_through(
            inventor.session, jobs, fill, lambda done, total: inventor.progress("filling in", done, total)
        )
    )
    return filled


def _read(output: Path) -> tuple[Tool, ...]:
    """The tools of an earlier output; none where there is none yet."""
    if not output.exists() or output.stat().st_size == 0:
        return ()
    return load_catalogue([output]).catalogue.tools


def _readable(lines: Sequence[dict[str, Any]]) -> list[Tool]:
    tools: list[Tool] = []
    for line in lines:
        with suppress(EntryError):
            tools.append(tool_from(line))
    return tools
