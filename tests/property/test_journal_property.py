"""A journal whose write-ahead log is cut anywhere opens to a prefix of what was committed."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from toolflow.dialogue.message import Message
from toolflow.journal.asked import Answered, Asked
from toolflow.journal.calls import SqliteJournal
from toolflow.llm.chat import CallKey, Completion, Request

CALLS = 12
STEP = 509
"""A prime, so that cuts fall everywhere in pages and frames."""


def test_a_cut_log_opens_to_a_prefix(tmp_path: Path) -> None:
    live, copy = tmp_path / "live.sqlite", tmp_path / "copy.sqlite"

    async def write() -> None:
        with SqliteJournal(live) as journal:
            for position in range(CALLS):  # each awaited, so each its own commit
                request = Request(CallKey(0, "user", position), "model", ())
                completion = Completion(Message("assistant", f"reply {position}"))
                await journal.append(Answered(Asked(request), completion, sent_at=0.0))
            shutil.copy(live, copy)
            shutil.copy(f"{live}-wal", tmp_path / "whole-wal")

    asyncio.run(write())
    wal, database = (tmp_path / "whole-wal").read_bytes(), copy.read_bytes()
    kept: list[int] = []
    for cut in [*range(0, len(wal), STEP), len(wal)]:
        for suffix in ("-wal", "-shm"):
            Path(f"{copy}{suffix}").unlink(missing_ok=True)
        copy.write_bytes(database)
        Path(f"{copy}-wal").write_bytes(wal[:cut])
        kept.append(_prefix(copy))
    assert kept == sorted(kept)
    assert set(kept) == set(range(CALLS + 1))


def _prefix(path: Path) -> int:
    async def read() -> int:
        with SqliteJournal(path) as journal:
            positions = sorted(key.position for key in journal.calls_of(0))
            assert positions == list(range(len(positions)))
            return len(positions)

    return asyncio.run(read())
