"""The operators' home: each part fails alone with a true sentence, and refreshing costs Stripe next to nothing."""

import asyncio
import re
from decimal import Decimal

import httpx

from chain.errors import NodeError
from stateless_billing.bookkeeping.orders import OrderDraft
from stateless_billing.sandbox.effects import error_unsaved
from stateless_billing.services.container import Services
from tests.chain.fake_node import history
from tests.fakes.factories import payment
from tests.fakes.in_process_service import BEGIN, LISTS, READS, SERVICE, Town, advanced
from tests.fakes.signed_in import ADMIN, AUDITOR, MODERATOR, open_browser, start_desk

QUIET = {"x-quiet": "1"}


def part(page: httpx.Response, name: str) -> str:
    """Return the text of one part of the page; empty if it has none."""
    assert page.status_code == 200, page.text
    match = re.search(rf'<section id="{name}".*?</section>', page.text, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", match[0]).split()) if match else ""


async def order(services: Services, event: object, operator: str, value: int) -> None:
    """Write an order to release a payment."""
    draft = OrderDraft("release", operator, "the customer called", value)
    await services.orders.write(services.grants.create_grant_id() + "00release", event, draft)  # type: ignore[arg-type]


def test_it_shows_what_waits_by_cause_and_what_a_second_admin_must_confirm() -> None:
    events = history(1, 1, 1)
    town = Town(events, strangers=["cus_Payer1"])

    async def scenario() -> None:
        services, app = await start_desk(town)
        for event in events:
            await advanced(services, event)
        await order(services, events[1], "second@example.org", 150_000)
        async with open_browser(app) as browser:
            page = await browser.get("/admin")
            assert "held: customer invalid 1 payment of 9,000 LITKEY" in part(page, "waiting")
            assert 'href="/admin/stuck?cause=customer_invalid"' in page.text
            assert "$1,500.00" in part(page, "proposals")
            assert "second@example.org" in part(page, "proposals")
            assert "own" not in part(page, "proposals")
            assert part(page, "latest").count("credited") == 2
            assert "$20.00 at most now" in part(page, "limits")
            assert "1 LITKEY is $0.006" in part(page, "rate")
            assert part(page, "health").count(": look") == 1  # the fake gateway accepts another signer
        async with open_browser(app, AUDITOR) as browser:
            page = await browser.get("/admin")
            assert not part(page, "proposals")
            assert not part(page, "limits")
        async with open_browser(app, MODERATOR) as browser:
            assert not part(await browser.get("/admin"), "proposals")

    town.run(scenario())


def test_a_rate_that_waits_is_shown_until_it_is_over() -> None:
    town = Town([])
    end = BEGIN + 3600
    town.customer(SERVICE).contact.metadata["rate_proposal"] = f"0.009:second@example.org:{BEGIN - 60}:{end}"

    async def scenario() -> None:
        _, app = await start_desk(town)
        async with open_browser(app) as browser:
            assert "A rate of $0.009" in part(await browser.get("/admin"), "proposals")
            await asyncio.sleep(3700)
            assert "No order and no rate waits" in part(await browser.get("/admin"), "proposals")

    town.run(scenario())


def test_stripe_away_leaves_the_rest() -> None:
    town = Town(history(1))

    async def scenario() -> None:
        services, app = await start_desk(town)
        await services.price_feed.current_rate()
        town.stripe.faults.add(error_unsaved(), times=10_000)
        async with open_browser(app) as browser:
            page = await browser.get("/admin")
            assert "Stripe could not be read" in part(page, "limits") or "No answer came" in part(page, "limits")
            assert "9,000 LITKEY" in part(page, "latest")
            assert "1 LITKEY is" in part(page, "rate")
            assert "Stripe: look" in part(page, "health")

    town.run(scenario())


def test_nodes_away_leave_the_rest() -> None:
    town = Town(history(1))

    async def scenario() -> None:
        _, app = await start_desk(town)

        def refuse(method: str, params: object) -> object:
            raise NodeError("away")

        town.nodes[0].answer = refuse  # type: ignore[method-assign]
        async with open_browser(app) as browser:
            page = await browser.get("/admin")
            assert "The chain could not be read" in part(page, "waiting")
            assert "The chain could not be read" in part(page, "latest")
            assert "$20.00 at most now" in part(page, "limits")
            assert "Chain: look" in part(page, "health")
            assert "Check the nodes in RPC_URLS" in part(page, "health")

    town.run(scenario())


def test_prices_away_leave_the_rest() -> None:
    town = Town(history(1))
    town.price = Decimal("NaN")  # which is no JSON

    async def scenario() -> None:
        _, app = await start_desk(town)
        async with open_browser(app) as browser:
            page = await browser.get("/admin")
            assert "There is no rate" in part(page, "rate")
            assert "9,000 LITKEY" in part(page, "latest")
            assert "Prices: look" in part(page, "health")

    town.run(scenario())


def test_a_quiet_refresh_reads_stripe_once_a_minute_and_renews_no_session() -> None:
    town = Town(history(1))

    async def scenario() -> None:
        _, app = await start_desk(town)
        async with open_browser(app, renewed_ago=3600) as browser:
            first = await browser.get("/admin")
            assert "set-cookie" in first.headers
            town.stripe.log.reset()
            for _ in range(4):
                await asyncio.sleep(60)
                quiet = await browser.get("/admin", headers=QUIET)
                assert "set-cookie" not in quiet.headers
                assert part(quiet, "limits") == part(first, "limits")
            assert (town.asked(READS), town.asked(LISTS)) == (4, 0)  # the record, for the ended sessions
            await browser.get("/admin")
            assert town.asked(LISTS) == 2

    town.run(scenario())


def test_a_question_is_answered_by_the_search() -> None:
    town = Town([payment()])

    async def scenario() -> None:
        _, app = await start_desk(town)
        async with open_browser(app) as browser:
            page = await browser.get("/admin", params={"q": "cus_Alice1"})
            assert "1 customer" in page.text
            assert 'id="waiting"' not in page.text

    town.run(scenario())


def test_the_roster_lists_everybody_with_the_sign_ins_that_this_process_saw() -> None:
    town = Town([])

    async def scenario() -> None:
        _, app = await start_desk(town)
        async with open_browser(app, AUDITOR, age=7200) as browser:
            page = (await browser.get("/admin/operators")).text
        rows = [
            " ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in re.findall(r"<tr tab.*?</tr>", page, re.DOTALL)
        ]
        assert [row.split()[0] for row in rows] == [ADMIN, "second@example.org", AUDITOR, MODERATOR]
        assert [row for row in rows if "none seen" not in row] == [next(row for row in rows if AUDITOR in row)]
        assert "2026-" in rows[2]
        assert "this service sends no mail" in rows[0]

    town.run(scenario())
