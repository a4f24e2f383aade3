"""Asks a model whether links make sense, several at once, and never twice about the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from pydantic import BaseModel, ConfigDict, RootModel

from toolflow.agents.voice import RoleModel, UnusableReply, Voice, read_json
from toolflow.curation.ledger import Ledger
from toolflow.curation.prompts import prompt
from toolflow.curation.session import Progress, Session, Tally, work_through
from toolflow.dialogue.message import Message
from toolflow.errors import UsageError
from toolflow.graph.graph import ToolGraph
from toolflow.graph.link import Link
from toolflow.graph.link_check import LinkQuestion, Verdict, ask_about, drop_links
from toolflow.llm.chat import Completion, ResponseFormat, Sampling

_REPAIRS: Final = 1
_LONGEST_REASON: Final = 300


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)
    reason: str = ""
    makes_sense: bool


class _Answers(RootModel[dict[str, _Answer]]):
    """A verdict for each ``link_<n>``."""


class _Line(msgspec.Struct, frozen=True):
    """A verdict in its file."""

    key: str
    makes_sense: bool
    reason: str
    judge: str
    link: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LinkCheck:
    """What came out of a check.

    Attributes:
        verdicts: The links that have a verdict, with it, in the order of asking.
        known: How many verdicts were known before.
        tally: How the batches ended.
        calls: Calls that were made.
        rehearsal: Whether the rehearsal model judged: its verdicts mean nothing.
    """

    verdicts: tuple[tuple[Link, Verdict], ...]
    known: int
    tally: Tally
    calls: int
    rehearsal: bool

    @property
    def refused(self) -> tuple[Link, ...]:
        """The links that do not make sense."""
        return tuple(link for link, verdict in self.verdicts if not verdict.makes_sense)


async def check_links(
    session: Session,
    graph: ToolGraph,
    links: Sequence[Link],
    verdicts: Path,
    *,
    batch: int,
    progress: Progress,
) -> LinkCheck:
    """Get a verdict for each link.

    Args:
        session: The way to the judge.
        graph: The graph that the links are of.
        links: Which links, in the order of asking.
        verdicts: File of the verdicts; those it holds of this model and prompt are not asked for again.
        batch: Most links in a call.
        progress: Called as the work goes on.

    Raises:
        LLMError: The endpoint refuses, or has stopped answering; the verdicts so far are kept.
        ToolFlowError: The file cannot be read or written.
    """
    judge = f"{session.name} {prompt('links').hash}"
    questions = {question.key(judge): question for question in ask_about(graph, links)}
    with Ledger(verdicts, _Line) as ledger:
        known = {line.key: _verdict(line) for line in ledger.lines if line.key in questions}
        found = dict(known)
        open_keys = [key for key in questions if key not in known]
        batches = [
            (number, open_keys[start : start + batch])
            for number, start in enumerate(range(0, len(open_keys), batch))
        ]

        async def judge_batch(job: tuple[int, list[str]]) -> None:
            number, keys = job
            answers = await _ask(session, number, [questions[key] for key in keys])
            for key, answer in zip(keys, answers, strict=True):
                link = questions[key].link.to_json()
                line = _Line(key, answer.makes_sense, answer.reason[:_LONGEST_REASON], judge, link)
                ledger.append(line)
                found[key] = _verdict(line)

        tally = await work_through(
            session, batches, judge_batch, lambda done, total: progress("checking links", done, total)
        )
    judged = tuple((question.link, found[key]) for key, question in questions.items() if key in found)
    return LinkCheck(judged, len(known), tally, session.model.calls, session.rehearsal)


def without_refused(graph: ToolGraph, check: LinkCheck, *, force: bool = False) -> ToolGraph:
    """The graph without the links that the check refused.

    Raises:
        UsageError: The rehearsal model judged, whose verdicts mean nothing, and ``force`` is not given.
    """
    if check.rehearsal and not force:
        raise rehearsal_refusal()
    return drop_links(graph, check.refused)


def rehearsal_refusal() -> UsageError:
    """What is said to whoever would drop links by the rehearsal model's verdicts."""
    return UsageError(
        "the verdicts of the rehearsal model mean nothing: no link is dropped by them",
        hint="Name a real judge with --model and --base-url, or give --force to try the command out.",
    )


def _verdict(line: _Line) -> Verdict:
    return Verdict(line.makes_sense, line.reason)


async def _ask(session: Session, number: int, questions: Sequence[LinkQuestion]) -> list[_Answer]:
    template = prompt("links")
    names = [f"link_{place + 1}" for place in range(len(questions))]

    def read(completion: Completion) -> list[_Answer]:
        answers = read_json(_Answers, completion.message.content).root
        missing = [name for name in names if name not in answers]
        if missing:
            raise UnusableReply([f"{', '.join(missing)}: a verdict is missing"])
        return [answers[name] for name in names]

    def repair(completion: Completion, unusable: UnusableReply) -> Sequence[Message]:
        return (
            Message("assistant", completion.message.content),
            Message("user", template.render("repair", problems=unusable.problems)),
        )

    # A judge that is sure says the same again: without heat.
    judge = RoleModel(session.name, Sampling(temperature=0.0))
    voice = Voice(
        session.model, judge, role="link-judge", dialogue=number, seed=session.seed, repairs=_REPAIRS
    )
    return await voice.ask(
        [
            Message("system", template.render("system")),
            Message("user", template.render("task", questions=[one.to_json() for one in questions])),
        ],
        read=read,
        repair=repair,
        reason="invalid_verdicts",
        response_format=_format(names),
    )


def _format(names: Sequence[str]) -> ResponseFormat:
    answer = {
        "type": "object",
        "properties": {
            "reason": {"type": "string", "maxLength": _LONGEST_REASON},
            "makes_sense": {"type": "boolean"},
        },
        "required": ["reason", "makes_sense"],
        "additionalProperties": False,
    }
    return ResponseFormat(
        "link_verdicts",
        {
            "type": "object",
            "properties": dict.fromkeys(names, answer),
            "required": list(names),
            "additionalProperties": False,
        },
    )
