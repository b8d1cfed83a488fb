"""Work in the background ends with its block, and its failure ends nothing else."""

import asyncio
import logging

import pytest

from stateless_billing.runtime.background import in_background, until_one_fails

pytestmark = pytest.mark.anyio


async def test_a_failure_is_logged_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("the port")

    with caplog.at_level(logging.ERROR):
        async with in_background(fail()):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    assert "a background task failed" in caplog.text
    assert "the port" in caplog.text


async def test_work_is_cancelled_and_awaited_at_the_end_of_the_block() -> None:
    steps = []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            steps.append("closed")

    async with in_background(work()):
        await asyncio.sleep(0)
    assert steps == ["closed"]


async def test_the_failure_of_one_ends_the_others() -> None:
    ended = []

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("refused")

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("work")

    with pytest.raises(ValueError, match="refused"):
        await until_one_fails(work(), fail())
    assert ended == ["work"]
