"""The journal's tables.

RUN/journal.sqlite is an SQLite database in WAL mode: any program may read it while the run goes on.

``calls``, one row for each completed LLM call:

==================== =====================================================================================
id                   counts the calls of the run in the order in which they were completed
dialogue             index of the dialogue
role                 ``planner``, ``user``, ``assistant`` or ``tool``
position             counts the calls of that role in the dialogue
request_hash         16 bytes of XXH3 over all that the model was told
model                name of the model that answered
endpoint             base URL of who answered
finish_reason        ``stop``, ``tool_calls``, ``length`` or ``content_filter``
prompt_tokens        LLM tokens of the prompt
completion_tokens    LLM tokens of the completion
attempts             how many sends it took; 0 for a call that a fork has taken over from another run
sent_at              when the last one was sent, in Unix seconds; for the reader alone, nothing rests on it
seconds              how long the last one took
frame, place         where its request and reply are: the row of ``frames``, and which line there, from 0
==================== =====================================================================================

``frames``: what calls that were committed together said and what was answered, since together they take half
the space and half the time. ``decode`` of :mod:`toolflow.journal.bodies`, where bodies are explained, reads
the column ``body``.

``parts``: what many requests share, once each by content; ``kind`` is ``tool`` or ``schema``, ``body`` is
read by ``decode``. ``hash`` is what bodies name it by.

``usage``: the sums of ``calls`` by role and model; calls that were taken over from another run are not among
them. It is a view over ``sums``, which has been added up as far as the call ``through`` and follows twice a
second while the run goes on, and over the calls after that: always exact, and at no cost that grows.

``calls_by_dialogue``: which calls a dialogue has: their ``id`` as ``call``, by ``dialogue``. A view over
``places``, which follows with ``sums``, and over the calls after that. An index of ``calls`` would be written
to all over with every few calls, for half of what a commit takes.

``dialogues``: one row for each dialogue that was begun: ``state`` is ``alive``, ``accepted``, ``rejected`` or
``failed``; ``stage`` and ``reason`` say why it was thrown out; ``at`` is when, in Unix seconds.

``events``: what befell the run: ``at`` in Unix seconds, ``kind`` (a word of :mod:`toolflow.journal.events`),
``detail`` a JSON object.

``PRAGMA user_version`` is the version of these tables.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from toolflow.errors import JournalDamagedError

SCHEMA_VERSION: Final = 6

CALL_COLUMNS: Final = (
    "dialogue, role, position, request_hash, model, endpoint, finish_reason, prompt_tokens, "
    "completion_tokens, attempts, sent_at, seconds, frame, place"
)

CALL_TYPES: Final = (int, str, int, bytes, str, str, str, int, int, int, float, float, int, int)
"""Types of those columns."""

TABLES: Final = {
    "calls": """
        CREATE TABLE calls (
            id                INTEGER PRIMARY KEY,
            dialogue          INTEGER NOT NULL,
            role              TEXT    NOT NULL,
            position          INTEGER NOT NULL,
            request_hash      BLOB    NOT NULL,
            model             TEXT    NOT NULL,
            endpoint          TEXT    NOT NULL,
            finish_reason     TEXT    NOT NULL,
            prompt_tokens     INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            attempts          INTEGER NOT NULL,
            sent_at           REAL    NOT NULL,
            seconds           REAL    NOT NULL,
            frame             INTEGER NOT NULL,
            place             INTEGER NOT NULL
        )""",
    "frames": """
        CREATE TABLE frames (
            id   INTEGER PRIMARY KEY,
            body BLOB NOT NULL
        )""",
    "parts": """
        CREATE TABLE parts (
            hash BLOB PRIMARY KEY,
            kind TEXT NOT NULL,
            body BLOB NOT NULL
        ) WITHOUT ROWID""",
    "sums": """
        CREATE TABLE sums (
            role              TEXT    NOT NULL,
            model             TEXT    NOT NULL,
            calls             INTEGER NOT NULL,
            prompt_tokens     INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            attempts          INTEGER NOT NULL,
            seconds           REAL    NOT NULL,
            through           INTEGER NOT NULL,
            PRIMARY KEY (role, model)
        ) WITHOUT ROWID""",
    "places": """
        CREATE TABLE places (
            dialogue INTEGER NOT NULL,
            call     INTEGER NOT NULL,
            PRIMARY KEY (dialogue, call)
        ) WITHOUT ROWID""",
    "calls_by_dialogue": """
        CREATE VIEW calls_by_dialogue AS
        SELECT dialogue, call FROM places
        UNION ALL
        SELECT dialogue, id FROM calls WHERE id > (SELECT coalesce(max(through), 0) FROM sums)""",
    "usage": """
        CREATE VIEW usage AS
        SELECT
            role, model, sum(calls) AS calls, sum(prompt_tokens) AS prompt_tokens,
            sum(completion_tokens) AS completion_tokens, sum(attempts) AS attempts, sum(seconds) AS seconds
        FROM (
            SELECT role, model, calls, prompt_tokens, completion_tokens, attempts, seconds FROM sums
            UNION ALL
            SELECT role, model, 1, prompt_tokens, completion_tokens, attempts, seconds FROM calls
            WHERE id > (SELECT coalesce(max(through), 0) FROM sums) AND attempts > 0
        )
        GROUP BY role, model HAVING sum(calls) > 0""",
    "dialogues": """
        CREATE TABLE dialogues (
            dialogue INTEGER PRIMARY KEY,
            state    TEXT NOT NULL,
            stage    TEXT,
            reason   TEXT,
            at       REAL NOT NULL
        )""",
    "events": """
        CREATE TABLE events (
            id     INTEGER PRIMARY KEY,
            at     REAL NOT NULL,
            kind   TEXT NOT NULL,
            detail TEXT NOT NULL
        )""",
}

_FIND_PLACES: Final = """
    INSERT INTO places
    SELECT dialogue, id FROM calls WHERE id > (SELECT coalesce(max(through), 0) FROM sums)
"""
_ADD_UP: Final = """
    INSERT INTO sums
    SELECT
        role, model, sum(attempts > 0), sum((attempts > 0) * prompt_tokens),
        sum((attempts > 0) * completion_tokens), sum(attempts), sum((attempts > 0) * seconds), max(id)
    FROM calls WHERE id > (SELECT coalesce(max(through), 0) FROM sums)
    GROUP BY role, model
    ON CONFLICT (role, model) DO UPDATE SET
        calls = calls + excluded.calls,
        prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens,
        attempts = attempts + excluded.attempts,
        seconds = seconds + excluded.seconds,
        through = excluded.through
"""
PAGE_BYTES: Final = 4096
LOG_BYTES: Final = 16 * 2**20
"""The write-ahead log is copied into the database from about this length on, and cut back to it then."""


def catch_up(connection: sqlite3.Connection) -> None:
    """Bring ``places`` and ``sums`` up to the last call, inside a transaction.

    A trigger would do it for each call, for a third of what one takes.
    """
    connection.execute(_FIND_PLACES)
    connection.execute(_ADD_UP)


def check_call(row: tuple[Any, ...]) -> None:
    """Refuse a row of ``calls``, id first, that no journal has written: SQLite keeps whatever it is given.

    Raises:
        JournalDamagedError: A column is of another type.
    """
    if tuple(map(type, row[1:])) != CALL_TYPES:
        raise JournalDamagedError(f"call {row[0]} in the journal is damaged: a column is of another type")
