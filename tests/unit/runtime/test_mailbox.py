"""Mailboxes keep order, make writers wait, and lose nothing when somebody is cancelled."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from toolflow.dialogue.message import Message
from toolflow.runtime.events import AssistantSpoke, Event
from toolflow.runtime.mailbox import Mailbox
from toolflow.runtime.testing import run_virtual


def event(number: int) -> AssistantSpoke:
    return AssistantSpoke(Message("assistant", str(number)))


def number(event: Event) -> int:
    assert isinstance(event, AssistantSpoke)
    return int(event.message.content)


@given(
    capacity=st.integers(1, 4),
    pauses=st.lists(st.sampled_from([0.0, 1.0, 3.0]), min_size=1, max_size=20),
    reader_pause=st.sampled_from([0.0, 1.0, 2.0]),
)
def test_everything_arrives_in_order(capacity: int, pauses: list[float], reader_pause: float) -> None:
    async def main() -> list[int]:
        mailbox = Mailbox(capacity)
        got: list[int] = []

        async def write() -> None:
            for place, pause in enumerate(pauses):
                await asyncio.sleep(pause)
                await mailbox.put(event(place))
                assert mailbox.statistics().waiting <= capacity

        async def read() -> None:
            for _ in pauses:
                await asyncio.sleep(reader_pause)
                got.append(number(await mailbox.get()))

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            group.create_task(read())
        return got

    assert run_virtual(main()) == list(range(len(pauses)))


def test_a_full_mailbox_makes_the_writer_wait() -> None:
    async def main() -> None:
        mailbox = Mailbox(1)
        await mailbox.put(event(0))
        writer = asyncio.create_task(mailbox.put(event(1)))
        await asyncio.sleep(1)
        assert not writer.done()
        assert number(await mailbox.get()) == 0
        await writer
        assert number(await mailbox.get()) == 1

    run_virtual(main())


def test_a_cancelled_writer_passes_its_room_on() -> None:
    async def main() -> list[int]:
        mailbox = Mailbox(1)
        await mailbox.put(event(0))
        first = asyncio.create_task(mailbox.put(event(1)))
        second = asyncio.create_task(mailbox.put(event(2)))
        await asyncio.sleep(1)
        # The room is promised to the first writer, which is cancelled before it can use it.
        got = [number(await mailbox.get())]
        first.cancel()
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await second
        got.append(number(await mailbox.get()))
        return got

    assert run_virtual(main()) == [0, 2]
