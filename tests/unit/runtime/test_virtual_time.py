"""Virtual time jumps, keeps order, and reports deadlocks."""

from __future__ import annotations

import asyncio

import pytest

from toolflow.runtime.testing import DeadlockError, run_virtual


def test_hours_pass_in_timer_order() -> None:
    async def main() -> tuple[float, list[str]]:
        woken: list[str] = []

        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            woken.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(sleeper("late", 7200))
            group.create_task(sleeper("early", 3600))
        return asyncio.get_running_loop().time(), woken

    now, woken = run_virtual(main())
    assert now == pytest.approx(7200)
    assert woken == ["early", "late"]


def test_waiting_for_nothing_is_reported() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlockError):
        run_virtual(main())


def test_timeouts_fire_in_virtual_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.sleep(1_000_000)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(60)
