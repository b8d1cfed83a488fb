"""A Stripe that lies is counted where it is seen, nothing else is, and what is read and written stays the same."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from stateless_billing.assumptions.breaches import Breaches
from stateless_billing.assumptions.ledger_watch import LAG_SECONDS, LedgerWatch
from stateless_billing.bookkeeping.entry_writer import EntryDraft, write_entry
from stateless_billing.domain.epochs import EPOCH_SECONDS
from stateless_billing.stripe.errors import OutcomeUnknown
from tests.fakes.factories import CUSTOMER, START, entry
from tests.fakes.fake_stripe import FakeStripe, raw_entry, raw_list, respond

OLD = START - LAG_SECONDS - 100
IDENTITY = "8453:0x" + "a" * 40 + ":0x" + "b" * 64 + ":0"
Raw = dict[str, Any]


def row(number: int, **changes: Any) -> Raw:
    """The nth credit of a dollar, all older than any lag."""
    metadata = {"kind": "payment", "payment": f"{IDENTITY}{number}"}
    defaults = {"amount": -100, "created": OLD + number, "ending_balance": -100 * number, "metadata": metadata}
    return raw_entry(number, **defaults | changes)


def listed(*pages: Raw, since: int | None = 0) -> dict[str, int]:
    """Read one listing after the other, and return what was counted."""
    breaches = Breaches()
    fake = FakeStripe(*(respond(200, page) for page in pages))
    api = fake.api(LedgerWatch(breaches))

    async def read() -> None:
        async with api.session() as session:
            for page in pages:
                shown = (await session.list_newest_entries(CUSTOMER, since)).entries
                assert [each.id for each in shown] == [each["id"] for each in page["data"]]

    asyncio.run(read())
    assert not breaches.failures
    return dict(breaches.counts)


FULL = raw_list(row(3), row(2), row(1))
YOUNG = row(3, created=START - 60)

HONEST = {
    "the same again": [FULL, FULL],
    "an empty ledger": [raw_list(), raw_list()],
    "a new entry": [raw_list(row(2), row(1)), FULL],
    "a shorter page": [FULL, raw_list(row(3), has_more=True)],
    "a young entry that another list does not show yet": [raw_list(YOUNG, row(2), row(1)), raw_list(row(2), row(1))],
    "a gap that a young entry leaves": [raw_list(row(4, created=START - 1), row(2), row(1))],
    "one second in any order": [raw_list(row(3, created=OLD), row(1, created=OLD), row(2, created=OLD))],
    "a page that ends within a second": [
        raw_list(row(4), row(3, created=OLD), row(1, created=OLD), has_more=True),
    ],
    "another currency between": [raw_list(row(2), raw_entry(9, currency="eur", created=OLD + 2), row(1))],
    "a credit that was reversed and written again": [
        raw_list(
            row(3, ending_balance=-100, metadata=row(1)["metadata"]),
            row(2, amount=100, ending_balance=0, metadata={"kind": "reversal", "reverses": "cbtxn_1"}),
            row(1),
        )
    ],
    "entries of others": [raw_list(row(2, metadata={}), row(1, metadata={}))],
}


@pytest.mark.parametrize("pages", HONEST.values(), ids=list(HONEST))
def test_an_honest_stripe_breaks_nothing(pages: Sequence[Raw]) -> None:
    assert listed(*pages) == {}


LIES = {
    "an entry vanished": ("list_went_back", [FULL, raw_list(row(2), row(1))]),
    "all entries vanished": ("list_went_back", [FULL, raw_list()]),
    "an older entry first": ("list_out_of_order", [raw_list(row(1), row(2))]),
    "another amount": ("entry_changed", [FULL, raw_list(row(3), row(2), row(1, amount=-90, ending_balance=-100))]),
    "another time": ("entry_changed", [FULL, raw_list(row(3), row(2), row(1, created=OLD))]),
    "a balance that does not follow": ("ending_balance_gap", [raw_list(row(3, ending_balance=-333), row(2), row(1))]),
    "a row in the middle is missing": ("ending_balance_gap", [raw_list(row(3), row(1))]),
    "two credits of one payment": ("key_accepted_twice", [raw_list(row(2, metadata=row(1)["metadata"]), row(1))]),
    "two reversals of one entry": (
        "key_accepted_twice",
        [raw_list(*(row(number, metadata={"kind": "reversal", "reverses": "cbtxn_9"}) for number in (2, 1)))],
    ),
}


@pytest.mark.parametrize(("name", "pages"), LIES.values(), ids=list(LIES))
def test_a_lie_is_counted_once(name: str, pages: Sequence[Raw]) -> None:
    assert listed(*pages, pages[-1], pages[-1]) == {name: 1}


def test_a_list_since_a_time_need_not_show_what_is_older() -> None:
    breaches = Breaches()
    fake = FakeStripe(respond(200, FULL), respond(200, raw_list(row(3))))
    api = fake.api(LedgerWatch(breaches))

    async def read() -> None:
        async with api.session() as session:
            await session.list_newest_entries(CUSTOMER, 0)
            await session.list_newest_entries(CUSTOMER, OLD + 3)

    asyncio.run(read())
    assert not breaches.counts


def write(answered: Raw, *, origin: int, metadata: dict[str, str], times: int = 1) -> dict[str, int]:
    """Write a credit of a dollar that Stripe answers with `answered`, and return what was counted."""
    breaches = Breaches()
    fake = FakeStripe(respond(200, raw_list()), respond(200, answered))
    api = fake.api(LedgerWatch(breaches))
    draft = EntryDraft(CUSTOMER, 100, "LITKEY payment 0x", metadata, origin, lambda epoch: f"key:{epoch}")

    async def send() -> None:
        async with api.session() as session:
            await session.list_newest_entries(CUSTOMER, START)
            for _ in range(times):
                assert (await write_entry(session, draft, None)).id == answered["id"]

    asyncio.run(send())
    assert not breaches.failures
    return dict(breaches.counts)


@pytest.mark.parametrize("age", [0, -120, 22 * 3600, EPOCH_SECONDS + 3600])
def test_a_fresh_answer_and_its_replay_break_nothing(age: int) -> None:
    answered = row(1, created=START)
    assert write(answered, origin=START - age, metadata=answered["metadata"], times=3) == {}


@pytest.mark.parametrize(
    ("created", "age"),
    [
        (START - EPOCH_SECONDS - 3600, EPOCH_SECONDS + 3600),  # written under the key of the epoch before
        (START - 25 * 3600, 3600),  # older than the payment
        (START + 300, 3600),  # not yet
    ],
)
def test_an_answer_from_another_time_than_its_keys_is_counted(created: int, age: int) -> None:
    answered = row(1, created=created)
    counts = write(answered, origin=START - age, metadata=answered["metadata"], times=2)
    assert counts == {"saved_answer_out_of_time": 1}


def test_a_reversal_on_a_test_clock_has_the_clocks_time() -> None:
    answered = row(1, created=START - 10**6, metadata={"kind": "reversal", "reverses": "cbtxn_9"})
    assert write(answered, origin=START - 3600, metadata=answered["metadata"]) == {}


def test_an_answer_with_another_entry_is_counted_and_not_believed() -> None:
    answered = row(1, created=START)
    with pytest.raises(OutcomeUnknown):
        write(answered, origin=START, metadata={"kind": "payment", "payment": "another"})
    breaches = Breaches()
    fake = FakeStripe(respond(200, raw_list()), respond(200, answered))

    async def send() -> None:
        async with fake.api(LedgerWatch(breaches)).session() as session:
            await session.list_newest_entries(CUSTOMER, START)
            await session.create_entry(CUSTOMER, 100, "", {}, "key", lambda now: True)

    with pytest.raises(OutcomeUnknown):
        asyncio.run(send())
    assert breaches.counts == {"saved_answer_differs": 1}


def test_a_key_accepted_anew_is_counted_at_the_second_answer() -> None:
    breaches = Breaches()
    first, second = row(1, created=START), row(2, created=START, metadata=row(1)["metadata"])
    fake = FakeStripe(respond(200, raw_list()), respond(200, first), respond(200, second))
    draft = EntryDraft(CUSTOMER, 100, "", first["metadata"], START, lambda epoch: f"key:{epoch}")

    async def send() -> None:
        async with fake.api(LedgerWatch(breaches)).session() as session:
            await session.list_newest_entries(CUSTOMER, START)
            for _ in range(2):
                await write_entry(session, draft, None)

    asyncio.run(send())
    assert breaches.counts == {"key_accepted_twice": 1}


def test_a_list_that_omits_what_was_written_long_ago_lags() -> None:
    breaches = Breaches()
    watch = LedgerWatch(breaches)
    fake = FakeStripe(respond(200, raw_list()), respond(200, row(1, created=START)), respond(200, raw_list()))
    draft = EntryDraft(CUSTOMER, 100, "", row(1)["metadata"], START, lambda epoch: f"key:{epoch}")

    async def send() -> None:
        async with fake.api(watch).session() as session:
            await session.list_newest_entries(CUSTOMER, START)
            await write_entry(session, draft, None)
            await session.list_newest_entries(CUSTOMER, START)
        watch.listed(CUSTOMER, [], START, START + LAG_SECONDS, ended=True)
        assert not breaches.counts
        watch.listed(CUSTOMER, [], START, START + LAG_SECONDS + 1, ended=True)

    asyncio.run(send())
    assert breaches.counts == {"list_lagged": 1}


def test_what_is_remembered_is_bounded() -> None:
    watch = LedgerWatch(Breaches())
    for number in range(600):
        entries = [
            entry(id=f"cbtxn_{number}x{at}", cents=1, ending_cents=100 - at, created=OLD - at) for at in range(100)
        ]
        watch.listed(f"cus_{number}", entries, 0, START, ended=True)
    assert watch._seen.currsize <= 50_000
    assert not watch.breaches.failures
