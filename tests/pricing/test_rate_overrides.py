"""A rate is written on what was read just before, and never by a machine that slept in between."""

from collections.abc import Awaitable, Callable

import pytest

from stateless_billing.domain.errors import ProblemError
from stateless_billing.pricing.override_values import KEY, PROPOSAL, NewRate, Override, parse_proposal
from stateless_billing.pricing.rate_overrides import Overrides
from stateless_billing.stripe.errors import NotSent
from tests.fakes.factories import START
from tests.fakes.sleepy_record import SleepyRecord

pytestmark = pytest.mark.anyio
RATE = 6 * 10**15
NEW = NewRate(RATE, "ann@example.org", 3_600, "market is wrong")
PROPOSED = Override(RATE, "ben@example.org", START - 600, START + 3_000, "as agreed")


def record() -> SleepyRecord:
    """A record with a rate that is in effect and one that waits."""
    current = str(Override(RATE // 2, "ann@example.org", START - 900, START + 900))
    waiting = {PROPOSAL: str(PROPOSED), "rate_proposal_reason": PROPOSED.reason}
    return SleepyRecord(**{KEY: current, f"{KEY}:0": current}, **waiting)


def overrides_of(line: SleepyRecord) -> Overrides:
    """The overrides of a process."""
    api = line.api()
    return Overrides(api, line.records(api), line.clock)


async def set_(overrides: Overrides, at: float) -> object:
    """Set a rate."""
    return await overrides.set(NEW, decided_at=at)


async def confirm(overrides: Overrides, at: float) -> object:
    """Confirm the rate that waits."""
    return await overrides.set(NEW, decided_at=at, confirms=PROPOSED)


async def propose(overrides: Overrides, at: float) -> object:
    """Propose a rate."""
    return await overrides.propose(NEW, decided_at=at)


async def withdraw(overrides: Overrides, at: float) -> None:
    """Withdraw the rate that waits."""
    await overrides.withdraw_proposal(PROPOSED, decided_at=at)


async def clear(overrides: Overrides, at: float) -> None:
    """End the rate that is in effect."""
    await overrides.clear("over", decided_at=at)


Act = Callable[[Overrides, float], Awaitable[object]]
ACTS: list[Act] = [set_, confirm, propose, withdraw, clear]


@pytest.mark.parametrize("act", ACTS)
async def test_a_machine_that_slept_does_not_send_what_it_had_decided(act: Act) -> None:
    line = record()
    before = dict(line.metadata)
    line.sleeps = [3_600]
    with pytest.raises(NotSent):
        await act(overrides_of(line), line.clock.boot())
    assert (line.writes, line.metadata) == (0, before)


@pytest.mark.parametrize("act", ACTS)
async def test_what_was_shown_more_than_a_minute_ago_is_not_sent(act: Act) -> None:
    line = record()
    overrides, decided_at = overrides_of(line), line.clock.boot()
    line.clock.wait(61)
    with pytest.raises(NotSent):
        await act(overrides, decided_at)
    assert line.writes == 0
    await act(overrides, line.clock.boot())
    assert line.writes == 1


@pytest.mark.parametrize("act", ACTS)
async def test_what_is_decided_at_once_is_written_over_the_connection_that_read(act: Act) -> None:
    line = record()
    line.sleeps = [30]
    await act(overrides_of(line), line.clock.boot())
    assert [step for step in line.written if step in ("connect", "GET", "POST")] == ["connect", "GET", "POST"]


async def test_a_rate_begins_when_it_is_written_and_ends_the_other() -> None:
    line = record()
    overrides = overrides_of(line)
    override = await overrides.set(NEW, decided_at=line.clock.boot())
    assert (override.since, override.until, override.slot) == (START, START + 3_600, 1)
    assert await overrides.effective_at(START) == override
    assert [each.until for each in await overrides.history()] == [START + 3_600, START]
    assert parse_proposal(line.metadata) is None
    line.clock.wait(10)
    await overrides.clear("over", decided_at=line.clock.boot())
    assert await overrides.effective_at(START + 10) is None
    assert (await overrides.history())[0].reason == "market is wrong; over"


@pytest.mark.parametrize("act", [confirm, withdraw])
@pytest.mark.parametrize("waiting", ["", str(Override(RATE, "eve@example.org", START - 60, START + 60))])
async def test_only_the_proposal_that_was_shown_is_confirmed_or_withdrawn(act: Act, waiting: str) -> None:
    line = record()
    line.metadata[PROPOSAL] = waiting
    with pytest.raises(ProblemError) as refused:
        await act(overrides_of(line), line.clock.boot())
    assert (refused.value.code, line.writes) == ("too_late", 0)
