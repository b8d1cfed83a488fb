"""Sessions end on all processes, without a database."""

import asyncio

import httpx
import pytest

from stateless_billing.bookkeeping.sign_outs import UNREADABLE_SECONDS, SignOuts
from stateless_billing.domain.errors import ProblemError
from stateless_billing.operators.roster import Operator, Roster
from stateless_billing.operators.sign_in import OperatorSession
from stateless_billing.operators.sign_outs import merge_slots, pair_digest, parse_slots
from stateless_billing.services.container import Services
from tests.fakes.in_process_service import SERVICE, LoopClock, Town
from tests.fakes.sleepy_record import SleepyRecord

ANN, BEN = Operator("ann@example.org", "admin"), Operator("ben@example.org", "moderator")
ROSTER = {"OPERATORS": f"{ANN.name}=admin,{BEN.name}=moderator", "SESSION_SECRETS": "s" * 32}


def session_of(operator: Operator, number: int = 0) -> OperatorSession:
    """Return a session that begins now."""
    now = int(LoopClock().wall())
    return OperatorSession(operator, now, f"{operator.name}-{number}", now)


async def start(town: Town) -> Services:
    """Start a process with a copy of the record."""
    services = town.process(**ROSTER)
    services.sign_outs.load((await services.records.load()).metadata or {}, LoopClock().boot())
    return services


def test_signing_out_ends_one_session_on_every_process_within_a_minute() -> None:
    town = Town([])

    async def scenario() -> None:
        first, second = await start(town), await start(town)
        stolen, other = session_of(ANN, 1), session_of(ANN, 2)
        await first.sign_outs.end_session(stolen)
        assert first.sign_outs.is_ended(stolen)
        await asyncio.sleep(30)
        await second.sign_outs.refresh()
        assert second.sign_outs.is_ended(stolen)
        assert not second.sign_outs.is_ended(other)
        assert (await start(town)).sign_outs.is_ended(stolen)  # a process that starts later

    town.run(scenario())


def test_a_replaced_session_ends_here_at_once_and_elsewhere_within_a_minute() -> None:
    town = Town([])

    async def scenario() -> None:
        first, second = await start(town), await start(town)
        replaced, other = session_of(ANN, 1), session_of(ANN, 2)
        first.sign_outs.end_session_later(replaced)
        assert first.sign_outs.is_ended(replaced)
        await asyncio.sleep(30)
        await second.sign_outs.refresh()
        assert second.sign_outs.is_ended(replaced)
        assert not second.sign_outs.is_ended(other)

    town.run(scenario())


def test_all_sessions_of_an_operator_end_and_later_ones_live() -> None:
    town = Town([])

    async def scenario() -> None:
        first, second = await start(town), await start(town)
        earlier, others = session_of(ANN), session_of(BEN)
        await asyncio.sleep(1)
        await first.sign_outs.end_operator(ANN.name)
        await asyncio.sleep(30)
        await second.sign_outs.refresh()
        assert second.sign_outs.is_ended(earlier)
        assert not second.sign_outs.is_ended(others)
        assert not second.sign_outs.is_ended(session_of(ANN))

    town.run(scenario())


def test_processes_that_write_at_once_lose_no_sign_out() -> None:
    town = Town([])

    async def scenario() -> None:
        processes = [await start(town) for _ in range(3)]
        sessions = [session_of(BEN, number) for number in range(30)]
        endings = [processes[number % 3].sign_outs.end_session(session) for number, session in enumerate(sessions)]
        await asyncio.gather(*endings)
        await asyncio.sleep(30)
        pairs = merge_slots(parse_slots(town.customer(SERVICE).contact.metadata))
        assert {pair_digest(session.id) for session in sessions} <= pairs.keys()
        assert town.customer(SERVICE).contact.metadata["stateless_billing"] == "service"

    town.run(scenario())


def test_an_unreadable_record_closes_the_pages_after_ten_minutes() -> None:
    town = Town([])

    async def scenario() -> None:
        services = await start(town)

        def refuse(request: httpx.Request) -> None:
            raise httpx.ConnectError("down")

        town.meddle = refuse
        await asyncio.sleep(UNREADABLE_SECONDS - 5)
        await services.sign_outs.refresh()
        services.sign_outs.require_readable()
        session = session_of(ANN)
        with pytest.raises(ProblemError, match="Stripe did not store it"):
            await services.sign_outs.end_session(session)
        assert services.sign_outs.is_ended(session)  # on this process
        await asyncio.sleep(10)
        await services.sign_outs.refresh()
        with pytest.raises(ProblemError, match="has not answered for ten minutes"):
            services.sign_outs.require_readable()
        town.meddle = lambda _: None
        await asyncio.sleep(10)
        await services.sign_outs.refresh()
        services.sign_outs.require_readable()
        await asyncio.sleep(10)
        assert (await start(town)).sign_outs.is_ended(session)  # stored after all

    town.run(scenario())


@pytest.mark.parametrize(("sleeps", "writes"), [([], 1), ([3_600, 0], 1), ([3] * 9, 0)])
def test_a_slot_is_never_written_on_an_old_reading(sleeps: list[float], writes: int) -> None:
    """A machine that slept could overwrite the sign-out that another process has put there since."""
    line = SleepyRecord()
    line.sleeps = list(sleeps)
    api = line.api()
    sign_outs = SignOuts(api, line.records(api), line.clock, Roster({ANN.name: ANN.role}, {ANN.name: ANN.name}))

    async def scenario() -> None:
        if writes:
            await sign_outs.end_session(session_of(ANN))
        else:
            with pytest.raises(ProblemError):
                await sign_outs.end_session(session_of(ANN))
        assert line.writes == writes
        assert len(merge_slots(parse_slots(line.metadata))) == writes

    Town([]).run(scenario())
