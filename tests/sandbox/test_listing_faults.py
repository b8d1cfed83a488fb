"""Each listing fault falsifies pages its own way; the order within a second is configurable."""

from typing import Any

import pytest

from stateless_billing.sandbox import effects
from stateless_billing.sandbox.effects import EFFECTS, Effect
from stateless_billing.sandbox.paging import SameSecond
from stateless_billing.sandbox.routes import TRANSACTIONS
from tests.sandbox.in_process_client import InProcessClient, rows_path


def inject(ask: InProcessClient, effect: Effect, skip: int = 0, times: int | None = 1) -> None:
    """Falsify the next listings."""
    ask.stripe.faults.add(effect, method="GET", template=TRANSACTIONS, skip=skip, times=times)


def ledger(ask: InProcessClient, count: int, seconds: int = 1) -> tuple[str, list[str]]:
    """Create a customer with rows; return both, newest row first."""
    customer, ids = ask.customer(), []
    for _ in range(count):
        ids.append(ask.credit(customer).body["id"])
        ask.clock.now += seconds
    return customer, ids[::-1]


def one_page(ask: InProcessClient, customer: str, **form: Any) -> tuple[list[str], bool]:
    """Return a page's rows and its `has_more`."""
    body = ask("GET", rows_path(customer), form).body
    return [row["id"] for row in body["data"]], body["has_more"]


def every_page(ask: InProcessClient, customer: str, limit: int) -> list[str]:
    """Return all rows that a trusting caller reads."""
    rows, more = one_page(ask, customer, limit=limit)
    while more:
        page, more = one_page(ask, customer, limit=limit, starting_after=rows[-1])
        rows += page
    return rows


def test_a_cut_listing_ends_at_a_page_that_is_not_the_last(ask: InProcessClient) -> None:
    customer, ids = ledger(ask, 5)
    inject(ask, effects.listing_cut(), skip=1)
    assert every_page(ask, customer, 2) == ids[:4]
    assert every_page(ask, customer, 2) == ids
    assert ask.stripe.account.lies == {"listing_cut": 1}


def test_the_last_page_cannot_be_cut(ask: InProcessClient) -> None:
    customer, ids = ledger(ask, 2)
    inject(ask, effects.listing_cut())
    assert one_page(ask, customer, limit=2) == (ids, False)
    assert not ask.stripe.account.lies


@pytest.mark.parametrize(("skip", "count"), [(0, 0), (1, 2)])
def test_a_listing_ends_with_an_empty_page(ask: InProcessClient, skip: int, count: int) -> None:
    customer, ids = ledger(ask, 5)
    inject(ask, effects.listing_ends_empty(), skip=skip)
    assert every_page(ask, customer, 2) == ids[:count]
    assert ask.stripe.account.lies == {"listing_ends_empty": 1}


def test_only_later_pages_end_empty_if_so_asked(ask: InProcessClient) -> None:
    customer, ids = ledger(ask, 5)
    inject(ask, effects.listing_ends_empty(later=True), times=None)
    assert one_page(ask, customer, limit=2) == (ids[:2], True)
    assert one_page(ask, customer, limit=2, starting_after=ids[1]) == ([], False)
    assert one_page(ask, customer, limit=2, ending_before=ids[3]) == ([], False)


def test_an_empty_ledger_is_never_falsified(ask: InProcessClient) -> None:
    customer = ask.customer()
    inject(ask, effects.listing_ends_empty())
    assert one_page(ask, customer) == ([], False)
    assert not ask.stripe.account.lies


@pytest.mark.parametrize("limit", [100, 4])
def test_a_hole_is_one_row_anywhere_that_no_later_page_shows(ask: InProcessClient, limit: int) -> None:
    customer, ids = ledger(ask, 10)
    missing = set()
    for _ in range(80):
        inject(ask, effects.listing_hole())
        rows = every_page(ask, customer, limit)
        (gone,) = set(ids) - set(rows)
        assert rows == [row for row in ids if row != gone]
        missing.add(gone)
    assert missing == set(ids if limit == 100 else ids[:3])
    assert ask.stripe.account.lies["listing_hole"] == 80


def test_a_hole_leaves_the_row_from_which_paging_goes_on(ask: InProcessClient) -> None:
    customer, ids = ledger(ask, 4)
    inject(ask, effects.listing_hole(), times=None)
    for _ in range(20):
        assert one_page(ask, customer, limit=2) == ([ids[1]], True)
        assert one_page(ask, customer, limit=2, ending_before=ids[3]) == ([ids[1]], True)
        assert one_page(ask, customer, limit=1) == ([ids[0]], True)
        assert one_page(ask, customer, limit=1, starting_after=ids[2]) == ([], False)


def test_other_requests_are_unaffected(ask: InProcessClient) -> None:
    customer, ids = ledger(ask, 2)
    ask.customer()
    for name in ("listing_cut", "listing_ends_empty", "listing_hole", "same_second_order"):
        ask.stripe.faults.add(EFFECTS[name](), times=4)
        listed = ask("GET", "/v1/customers", {"limit": 1}).body
        assert (len(listed["data"]), listed["has_more"]) == (1, True)
        assert ask("GET", f"/v1/customers/{customer}").body["id"] == customer
        assert ask("GET", f"{rows_path(customer)}/{ids[0]}").body["id"] == ids[0]
        assert ask.credit(ask.customer()).status == 200
        ask.stripe.faults.clear()


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_the_rows_of_one_second_come_in_either_order(ask: InProcessClient, limit: int) -> None:
    customer = ask.customer()
    seconds = []
    for count in (1, 4, 2):
        seconds.append([ask.credit(customer).body["id"] for _ in range(count)])
        ask.clock.now += 1
    newest, oldest = ([row for second in seconds[::-1] for row in second[::way]] for way in (-1, 1))
    assert every_page(ask, customer, limit) == newest
    ask.stripe.same_second = SameSecond.OLDEST_FIRST
    assert every_page(ask, customer, limit) == oldest
    assert one_page(ask, customer, limit=2, ending_before=oldest[4]) == (oldest[2:4], True)
    ask.stripe.same_second = SameSecond.NEWEST_FIRST
    inject(ask, effects.same_second_order("oldest_first"), times=None)
    assert every_page(ask, customer, limit) == oldest
    assert not ask.stripe.account.lies


def test_there_are_only_two_orders() -> None:
    with pytest.raises(ValueError, match="mood"):
        effects.same_second_order("mood")
