"""The model as agents see it in a run: what was paid for comes from the journal, the rest is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping

from toolflow.clock import Clock, wall
from toolflow.journal.asked import Answered, Asked
from toolflow.journal.bodies import CallRecord, completion_of, requests_of
from toolflow.journal.calls import CallJournal
from toolflow.journal.lines import Line
from toolflow.journal.mismatch import mismatch
from toolflow.journal.reading import State
from toolflow.llm.chat import CallKey, ChatModel, Completion, Request


class JournalledModel:
    """A :class:`ChatModel` that makes each completion durable before it is acted on.

    Args:
        model: Answers what the journal does not know.
        journal: Keeps completed calls.
        clock: The time of day, taken down for the reader.
    """

    def __init__(self, model: ChatModel, journal: CallJournal, *, clock: Clock = wall) -> None:
        self._model = model
        self._journal = journal
        self._clock = clock
        self._known: dict[int, Mapping[CallKey, CallRecord]] = {}
        self._last: dict[int, dict[str, Asked]] = {}
        self._in_flight = 0
        self._draining = False
        self._drained = asyncio.Event()
        self._recording = 0
        self._recorded = asyncio.Event()
        self.replayed = 0

    @property
    def recording(self) -> int:
        """Replies that wait to be durable."""
        return self._recording

    @property
    def in_flight(self) -> int:
        """Calls that are asked and not yet durable: what :meth:`drain` waits for."""
        return self._in_flight

    def continue_from(self, accepted: Collection[int], thrown_out: Iterable[Line]) -> None:
        """Bring the journal's states into line with the data set that earlier processes wrote.

        The lines of dialogues.jsonl and rejected.jsonl say what is finished: a line is written before its
        state is taken down, and a process may die in between.

        Args:
            accepted: Indices in dialogues.jsonl.
            thrown_out: Those of rejected.jsonl.
        """
        finished: dict[int, tuple[State, str | None, str | None]] = {
            line.index: (state_of(line.stage), line.stage, line.reason) for line in thrown_out
        }
        finished.update(dict.fromkeys(accepted, ("accepted", None, None)))
        for known in self._journal.states():
            written = finished.pop(known.dialogue, ("alive", None, None))
            if written != (known.state, known.stage, known.reason):
                self._journal.mark(known.dialogue, *written)
        for dialogue, written in finished.items():
            self._journal.mark(dialogue, *written)

    def begin(self, dialogue: int) -> None:
        """Load what an earlier process paid for in this dialogue."""
        self._journal.mark(dialogue, "alive")
        known = self._journal.calls_of(dialogue)
        if known:
            self._known[dialogue] = known

    def settle(
        self, dialogue: int, state: State, stage: str | None = None, reason: str | None = None
    ) -> None:
        """Take down what has become of a dialogue, once its line is written."""
        self._journal.mark(dialogue, state, stage, reason)

    def end(self, dialogue: int) -> None:
        """Forget the dialogue."""
        self._known.pop(dialogue, None)
        self._last.pop(dialogue, None)

    async def complete(self, request: Request) -> Completion:
        """Answer a request.

        Raises:
            RunDirectoryError: The journal holds another request under this key, or cannot be written.
            LLMError: The call failed.
        """
        key = request.key
        last = self._last.setdefault(key.dialogue, {})
        base = last.get(key.role)
        if base is not None and base.request.key.position >= key.position:
            base = None  # bases never go round in a circle
        asked = Asked(request, base)
        known = self._known.get(key.dialogue)
        if known and (record := known.get(key)):
            if record.request_hash != asked.digested().hash:
                raise mismatch(requests_of(known, self._journal.part)[key], request)
            self.replayed += 1
            last[key.role] = asked
            return completion_of(record)
        if self._draining:
            await asyncio.Future()  # no new calls: wait to be cancelled
        self._in_flight += 1
        try:
            completion = await self._model.complete(request)
            sent_at = self._clock() - completion.delivery.seconds
            last[key.role] = asked
            self._recording += 1
            try:
                await self._journal.append(Answered(asked, completion, sent_at, base))
            finally:
                self._recording -= 1
                if not self._recording:
                    self._recorded.set()
        finally:
            self._in_flight -= 1
            if self._draining and self._in_flight == 0:
                self._drained.set()
        return completion

    async def flush(self) -> None:
        """Return once every completion that has come is durable."""
        self._recorded.clear()
        if self._recording:
            await self._recorded.wait()

    async def drain(self) -> None:
        """Send nothing more; return once the calls in flight are finished and durable."""
        self._draining = True
        if self._in_flight:
            await self._drained.wait()


def state_of(stage: str) -> State:
    """What has become of a dialogue that was thrown out at a stage."""
    return "rejected" if stage == "checks" else "failed"
