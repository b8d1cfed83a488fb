"""The queue of stuck payments over HTTP: counts, filters, and the message to the payer in the cause's words."""

import html
import re
from typing import Any

import pytest

from chain.errors import NodeError
from chain.payment import Payment
from stateless_billing.domain.errors import ProblemError
from stateless_billing.services.container import Services
from stateless_billing.web.decisions import queue
from tests.fakes.desk import ANN, BETH, MODERATOR, Desk, run_desk
from tests.fakes.factories import BLOCK_SECONDS, payment, tx_hash
from tests.fakes.in_process_service import FINALITY, NOW_BLOCK, Town, sweeping

ABOVE = payment(cents=540_000)
GONE = payment(tx_hash=tx_hash(2), sequence=0, block=101, customer_id="cus_Nobody1")
SAFE = payment(tx_hash=tx_hash(3), sequence=1, block=102, customer_id="cus_Nobody1")


def lines_of(page: str) -> list[str]:
    """Return the line of each payment as text."""
    rows = re.findall(r"<summary>\s*<h2>(.*?)</summary>", page, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in rows]


def test_each_payment_is_a_line_and_causes_are_counted_and_chosen() -> None:
    town = Town([ABOVE, GONE, SAFE], strangers=["cus_Nobody1"])

    async def scenario(services: Services) -> None:
        await sweeping(services, 100)
        mod = Desk(services, MODERATOR)
        page = await mod.page("/admin/stuck")
        lines = lines_of(page)
        assert len(lines) == 3
        assert re.fullmatch(r"\$5,400.00 waits for .+ held: over limit cus_\w+ no order", lines[0])
        assert 'href="/admin/stuck?cause=customer_invalid">customer invalid <span class="count">2<' in page
        assert 'href="/admin/stuck" aria-current="true">All <span class="count">3<' in page
        page = await mod.page("/admin/stuck?cause=customer_invalid")
        assert len(lines_of(page)) == 2
        assert "$5,400" not in page
        assert 'All <span class="count">3<' in page, "the counts are of all"
        page = await mod.page("/admin/stuck?cause=test_clock")
        assert "None with the cause “test clock”." in page
        assert not lines_of(page)
        refused = await mod.get("/admin/stuck?cause=<b>nothing")
        assert refused.status_code == 422
        assert "names a cause that does not exist" in refused.text
        assert "&lt;b&gt;" not in refused.text

    run_desk(town, scenario, MAX_PAYMENT_CENTS="40000")


def test_a_line_says_where_its_order_stands() -> None:
    town = Town([ABOVE])

    async def scenario(services: Services) -> None:
        ann, beth = Desk(services, ANN), Desk(services, BETH)
        proposed = await ann.decide("orders", {"form": ann.form(ABOVE), "order": "release"})
        assert lines_of(await beth.page("/admin/stuck"))[0].endswith("order waits for another admin")
        await ann.decide("orders", {"form": ann.form(ABOVE), "order": "withdraw"})
        page = await beth.page("/admin/stuck")
        assert lines_of(page)[0].endswith(("order withdrawn", "order waits for another admin"))
        assert proposed["order"]

    run_desk(town, scenario, MAX_PAYMENT_CENTS="40000")


def test_the_message_to_the_payer_is_shown_in_the_words_of_the_cause() -> None:
    town = Town([ABOVE, GONE], strangers=["cus_Nobody1"])

    async def scenario(services: Services) -> None:
        await sweeping(services, 100)
        page = await Desk(services, MODERATOR).page("/admin/stuck")
        shown = [html.unescape(text) for text in re.findall(r"<blockquote>(.*?)</blockquote>", page)]
        copied = [html.unescape(text) for text in re.findall(r'data-copy="(Your payment [^"]+)"', page)]
        assert shown == copied, "what is copied is what was read"
        assert "It is safe and not credited yet. It is above the amount we credit without a check." in shown[0]
        assert "Its account does not exist. Tell us which account to credit. You do not need to pay again." in shown[1]

    run_desk(town, scenario, MAX_PAYMENT_CENTS="40000")


@pytest.mark.parametrize("age", [60, 400])
def test_a_payment_that_was_tried_is_listed_before_it_is_final(age: int) -> None:
    early = payment(cents=500, customer_id="cus_Nobody1", block=NOW_BLOCK - age // BLOCK_SECONDS)
    town = Town([early], strangers=["cus_Nobody1"])

    async def scenario(services: Services) -> None:
        await sweeping(services, 10)
        page = await Desk(services, MODERATOR).page("/admin/stuck")
        assert "customer_invalid" in page
        assert "Payments that are final on the chain, or were tried before that," in page

    run_desk(town, scenario)


def test_orders_are_offered_as_soon_as_a_payment_is_final() -> None:
    early = payment(cents=50_000, block=NOW_BLOCK - 200)
    town = Town([early])

    async def scenario(services: Services) -> None:
        ann = Desk(services, ANN)
        await sweeping(services, 10)
        page = await ann.page("/admin/stuck")
        assert len(lines_of(page)) == 1
        assert "If it needs a decision, an admin can take it as soon as it is final on the chain." in page
        assert "data-order" not in page
        await sweeping(services, FINALITY * BLOCK_SECONDS)
        page = await ann.page("/admin/stuck")
        assert "as soon as it is final" not in page
        assert 'data-kind="release"' in page

    run_desk(town, scenario, MAX_PAYMENT_CENTS="40000", CONFIRMATIONS="1000000:15s,finalized")


def test_an_order_that_a_process_sees_before_finality_stays_on_its_page_until_it_is_followed() -> None:
    early = payment(cents=50_000, block=NOW_BLOCK - 450)
    town = Town([early])

    async def scenario(services: Services) -> None:
        ann = Desk(services, ANN)
        await sweeping(services, 10)
        await ann.decide("orders", {"form": ann.form(early), "order": "release"})
        await sweeping(services, 30)
        page = await ann.page("/admin/stuck")
        assert "ordered: release" in page
        assert "It is followed as soon as the payment is final on the chain." in page
        await sweeping(services, 1500)
        assert "No stuck payments." in await ann.page("/admin/stuck")

    run_desk(town, scenario, MAX_PAYMENT_CENTS="40000", CONFIRMATIONS="1000000:15s,finalized", MAX_ORDER_CENTS="900000")


def test_a_customer_whose_payments_no_node_shows_hides_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town([ABOVE, GONE], strangers=["cus_Nobody1"])

    async def scenario(services: Services) -> None:
        await sweeping(services, 100)
        get_status = services.uncredited_payments._crediting.get_status

        async def failing(gateway: Any, each: Payment, *rest: Any, **more: Any) -> Any:
            if each.customer_id == "cus_Nobody1":
                raise NodeError("no node shows it")
            return await get_status(gateway, each, *rest, **more)

        monkeypatch.setattr(services.uncredited_payments._crediting, "get_status", failing)
        page = await Desk(services, MODERATOR).page("/admin/stuck")
        assert len(lines_of(page)) == 1
        assert "Not all payments are shown: there are more than this page holds, or no node shows some" in page

    run_desk(town, scenario, MAX_PAYMENT_CENTS="40000")


def test_a_filter_is_a_cause_or_a_state() -> None:
    assert [queue.parse_cause(value) for value in ("", " Over_Limit ", "pending")] == ["", "over_limit", "pending"]
    for value in ("credited", "over limit", "x" * 5000, "None"):
        with pytest.raises(ProblemError):
            queue.parse_cause(value)
