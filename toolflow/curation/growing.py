"""Evolves as many tools as are wanted, in waves, and keeps near-duplicates out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Final

from toolflow.catalog.tool import Tool
from toolflow.curation.evolving import Nursery, Seedling, read_tool
from toolflow.curation.inventor import ORIGIN, Inventor
from toolflow.curation.novelty import Novelty
from toolflow.curation.prompts import prompt
from toolflow.curation.session import work_through
from toolflow.dialogue.message import Message
from toolflow.graph.encoder import Encoder

_DRAW: Final = "draw"
_DRAWS_PER_TOOL: Final = 3
_NEAR_DUPLICATE: Final = "near_duplicate"


async def evolve_tools(
    inventor: Inventor,
    tools: Sequence[Tool],
    wanted: int,
    *,
    accepted: Sequence[Tool],
    started: Sequence[Tool],
    encoder: Encoder,
) -> list[Tool]:
    """Grow tools in waves, each as large as the number that is still missing.

    Args:
        inventor: Invents them.
        tools: What they grow from; at least one.
        wanted: How many evolved tools there shall be.
        accepted: Those that there are.
        started: Tools that a stopped run had asked for, evolved and not yet compared among them.
        encoder: Tells near-duplicates, and results that no tool takes.

    Returns:
        The new tools, fewer than are missing where the budget, or three draws for each, did not suffice.
    """
    missing = wanted - len(accepted)
    if missing <= 0:
        return []
    seed = inventor.session.seed
    marks = {(tool.provenance or {}).get(_DRAW) for tool in accepted}
    grown = {(tool.provenance or {}).get(_DRAW): tool for tool in started if inventor.may_keep(tool)}
    novelty = Novelty((*tools, *accepted), encoder)
    nursery = Nursery(tools, encoder, seed)
    evolved: list[Tool] = []

    async def grow(number: int) -> None:
        mark = f"{seed}/{number}"
        if mark not in grown:
            grown[mark] = await _ask_for_tool(inventor, nursery.draw(number), mark)
            inventor.ledger.append(grown[mark].to_canonical())

    numbers = iter(number for number in range(_DRAWS_PER_TOOL * wanted) if f"{seed}/{number}" not in marks)
    while len(evolved) < missing and not inventor.session.model.spent:
        wave = list(islice(numbers, missing - len(evolved)))
        if not wave:
            break
        inventor.count(
            await work_through(
                inventor.session,
                wave,
                grow,
                lambda done, _: inventor.progress("evolving", len(evolved) + done, missing),
            )
        )
        for tool in filter(None, (grown.get(f"{seed}/{number}") for number in wave)):
            await asyncio.sleep(0)  # comparing takes a while: let the loop see Ctrl-C
            twin = novelty.twin_of(tool)
            if twin is None:
                novelty.add(tool)
                evolved.append(tool)
            else:
                inventor.failed[_NEAR_DUPLICATE] += 1
                inventor.examples.setdefault(_NEAR_DUPLICATE, f"{tool.name} repeats {twin}")
    return evolved


async def _ask_for_tool(inventor: Inventor, seedling: Seedling, mark: str) -> Tool:
    template = prompt("enrich")
    provenance = dict.fromkeys(("name", "description", "parameters", "returns"), inventor.mark)
    provenance |= {ORIGIN: seedling.story, _DRAW: mark}
    values = {
        "origin": seedling.origin,
        "field": seedling.field,
        "parameter": seedling.parameter,
        "type": seedling.type,
        "neighbours": seedling.neighbours,
    }
    return await inventor.ask(
        "evolver",
        seedling.draw,
        (
            Message("system", template.render("evolve_system")),
            Message("user", template.render("evolve", **values)),
        ),
        seedling.response_format,
        lambda text: read_tool(text, seedling, provenance),
    )
