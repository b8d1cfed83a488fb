"""Decisions in two steps over HTTP: what is shown, what is refused, and that nothing is written but what was shown."""

import asyncio
import csv
import html
import io
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from chain.payment import Payment
from stateless_billing.domain.ledger import credit_key, cursor_key
from stateless_billing.sandbox.account import Entry
from stateless_billing.sandbox.api_keys import DEFAULT_KEY
from stateless_billing.sandbox.records import Transaction
from stateless_billing.sandbox.stripe_api import API_VERSION
from stateless_billing.services.container import Services
from tests.fakes.desk import ANN, BETH, MODERATOR, WHY, Desk, opened, run_desk
from tests.fakes.factories import CUSTOMER, WALLET, WHOLE_TOKEN, payment, tx_hash
from tests.fakes.in_process_service import SERVICE, LoopClock, Town, advanced, sweeping

PLAIN = payment(cents=0, amount=1500 * WHOLE_TOKEN)  # $9 at $0.006
QUOTED = payment(cents=540_000, amount=900_000 * WHOLE_TOKEN)
OTHER = "cus_Other1"
ORDERS = "orders"


def rows(town: Town, kind: str = "order", customer: str = SERVICE) -> list[Transaction]:
    return [row for row in town.rows(customer) if row.metadata.get("kind") == kind]


def charge(town: Town, cents: int) -> None:
    """Charge the customer for usage, as other systems do all the time."""
    now = LoopClock().wall()
    town.stripe.account.add_transaction(town.customer(CUSTOMER), Entry(cents, "usd", "Usage"), now, int(now))


def held_town(*payments: Payment, price: str = "0.006") -> Town:
    """A town whose payers' customer is billed in euros, so that payments wait, and another customer."""
    town = Town(payments)
    town.price = Decimal(price)
    town.add(OTHER, {"wallet_address": "0x" + "33" * 20})
    return town


def test_a_rate_above_twice_the_markets_is_passed_by_nobody() -> None:
    town = Town([PLAIN])

    async def scenario(services: Services) -> None:
        ann, beth = Desk(services, ANN), Desk(services, BETH)
        for text in ("release:6", "release:0.012000000000000001"):
            refused = await ann.show(ORDERS, {"form": ann.form(PLAIN), "order": text}, 409)
            assert refused["type"].endswith("/over_bound")
            assert "at the payment's block ($0.006). Nobody may give that. Nothing was ordered." in refused["detail"]
        refused = await ann.show("rate", {"rate": "6", "hours": 24}, 409)
        assert "more than 2 times the market's rate now ($0.006)" in refused["detail"]
        assert not rows(town)
        town.price = Decimal("0.0005")  # an override is judged by the market, never by another override
        shown = await ann.show("rate", {"rate": "0.011", "hours": 1})
        assert shown["second"] is True
        assert "rate_override" not in town.customer(SERVICE).contact.metadata
        assert beth.name

    run_desk(town, scenario)


def test_what_was_shown_is_what_is_written_and_once() -> None:
    town = Town([PLAIN])

    async def scenario(services: Services) -> None:
        ann, form = Desk(services, ANN), ""
        form = ann.form(PLAIN)
        body: dict[str, Any] = {"form": form, "order": "release:0.007"}
        shown = await ann.show(ORDERS, body)
        assert shown["sentence"] == (
            f"Credit $10.50 to a customer without an email address ({CUSTOMER}, wallet {WALLET})."
            " As of now its balance goes from $0.00 to $10.50."
        )
        assert (
            shown["notes"][0]
            == "1,500 tokens at $0.007 a token, 16 % above the market's at the payment's block ($0.006)."
        )
        assert shown["second"] is False
        assert not rows(town), "the first step writes nothing"
        for spoiled in ({"reason": "another reason"}, {"order": "release:0.0071"}, {"form": ann.form(PLAIN)}):
            refused = await ann.write(ORDERS, body | spoiled, shown, 409)
            assert refused["type"].endswith("/changed"), "another decision than the one shown"
        contact = town.customer(CUSTOMER).contact
        town.customer(CUSTOMER).contact = replace(contact, email="other@example.org")
        refused = await ann.write(ORDERS, body, shown, 409)
        assert refused["type"].endswith("/changed"), "another account than the one shown"
        assert "No money moved" in refused["detail"]
        assert not rows(town)
        town.customer(CUSTOMER).contact = contact
        charge(town, 300)
        assert "from -$3.00 to $7.50" in (await ann.show(ORDERS, body))["sentence"]
        charge(town, 1)
        answers = await asyncio.gather(*(ann.write(ORDERS, body, shown) for _ in range(3)))
        assert len({answer["order"] for answer in answers}) == 1
        again = await ann.write(ORDERS, body, shown)
        assert (again["order"], again["state"]) == (answers[0]["order"], "credited")
        assert [row.metadata["order"] for row in rows(town)] == ["release:0.007"]
        assert [-row.amount for row in rows(town, "payment", CUSTOMER)] == [1050]

    run_desk(town, scenario)


@pytest.mark.parametrize("reason", ["", "ok", "a" * 40, " ok   ok ", "..........", "abcabcabcabc"])
def test_a_reason_is_words(reason: str) -> None:
    town = Town([PLAIN])

    async def scenario(services: Services) -> None:
        ann = Desk(services, ANN)
        refused = await ann.post(ORDERS, {"form": ann.form(PLAIN), "order": "release", "reason": reason}, 422)
        assert "at least 10 characters" in refused["detail"]
        for path, body in (
            ("rate", {"rate": "0.006", "hours": 1}),
            ("rate/end", {}),
            ("grants/undo", {"reservation": "cbtxn_1"}),
        ):
            await ann.post(path, body | {"reason": reason}, 422)
        assert not rows(town)

    run_desk(town, scenario)


def test_a_redirect_names_whose_account_was_typed() -> None:
    town = held_town(QUOTED)

    async def scenario(services: Services) -> None:
        town.customer(CUSTOMER).currency = "eur"
        ann = Desk(services, ANN)
        shown = await ann.show(ORDERS, {"form": ann.form(QUOTED), "order": f"redirect:{OTHER}"})
        assert f"({OTHER}, wallet 0x3333" in shown["sentence"]
        assert f"instead of {CUSTOMER}" in shown["sentence"]
        assert "from $0.00 to $5,400.00" in shown["sentence"]
        assert shown["second"] is True
        assert "above what you may decide alone: $1,000.00" in "".join(shown["notes"])
        refused = await ann.show(ORDERS, {"form": ann.form(QUOTED), "order": f"redirect:{OTHER}:0.006"}, 422)
        assert "was quoted, so no rate applies" in refused["detail"]

    run_desk(town, scenario)


def test_a_large_release_waits_for_another_person_and_can_be_withdrawn() -> None:
    town = Town([QUOTED])

    async def scenario(services: Services) -> None:
        ann, beth = Desk(services, ANN), Desk(services, BETH)
        done = await ann.decide(ORDERS, {"form": ann.form(QUOTED), "order": "release"})
        assert done["waits"] is True
        own = await ann.show(ORDERS, {"form": ann.form(QUOTED), "confirms": done["order"]}, 403)
        assert "your own order" in own["detail"]
        shown = await beth.show(ORDERS, {"form": beth.form(QUOTED), "confirms": done["order"]})
        assert shown["sentence"].startswith("Credit $5,400.00 to ")
        assert shown["notes"][0].startswith(f"{ANN} ordered it: ")
        withdrawn = await beth.decide(ORDERS, {"form": beth.form(QUOTED), "order": "withdraw"})
        assert withdrawn["waits"] is False
        late = await beth.write(ORDERS, {"form": beth.form(QUOTED), "confirms": done["order"]}, shown, 409)
        assert late["type"].endswith("/changed"), "a form of its own was shown"
        refused = await beth.show(ORDERS, {"form": beth.form(QUOTED), "confirms": done["order"]}, 409)
        assert "A newer order is in effect" in refused["detail"]
        assert not rows(town, "payment", CUSTOMER)
        nothing = await ann.show(ORDERS, {"form": ann.form(QUOTED), "order": "withdraw"}, 409)
        assert "no order that could be withdrawn" in nothing["detail"]
        again = await ann.decide(ORDERS, {"form": ann.form(QUOTED), "order": "release"})
        body = {"form": beth.form(QUOTED), "confirms": again["order"]}
        assert (await beth.decide(ORDERS, body))["state"] == "credited"
        assert [-row.amount for row in rows(town, "payment", CUSTOMER)] == [540_000]

    run_desk(town, scenario, MAX_PAYMENT_CENTS="100000")


def test_a_rate_far_above_the_markets_waits_for_another_person() -> None:
    town = Town([PLAIN])

    async def scenario(services: Services) -> None:
        ann, beth, other = Desk(services, ANN), Desk(services, BETH), Desk(await opened(town), BETH)
        record = town.customer(SERVICE).contact.metadata
        body = {"rate": "0.009", "hours": 2}
        shown = await ann.show("rate", body)
        assert "Set the rate to $0.009 a token for 2 hours, 50 % above the market's now ($0.006)." in shown["sentence"]
        assert "It goes from $0.006 (market) to $0.009." in shown["sentence"]
        proposed = await ann.write("rate", body, shown)
        assert proposed["waits"] is True
        assert (await ann.write("rate", body, shown)) == proposed, "a second press changes nothing"
        words = town.customer(SERVICE).contact.metadata["rate_proposal"]
        assert words == f"0.009000000000000000:{ANN}:{proposed['from']}:{proposed['until']}"
        assert (await services.rates.current_rate()).source != "override"
        for who in (ANN, BETH):
            assert "Proposed:" in await Desk(services, who).page("/admin/rate")
        assert "data-rate-confirm" not in await ann.page("/admin/rate")
        assert "data-rate-confirm" in await other.page("/admin/rate"), "every admin sees it on every process"
        await ann.show("rate/confirm", {"proposal": words}, 403)
        await Desk(services, MODERATOR).show("rate/confirm", {"proposal": words}, 403)
        await beth.show("rate/confirm", {"proposal": words + "x"}, 409)
        shown = await other.show("rate/confirm", {"proposal": words})
        town.price = Decimal("0.004")
        await asyncio.sleep(400)
        refused = await other.write("rate/confirm", {"proposal": words}, shown, 409)
        assert refused["type"].endswith("/over_bound"), "the bound holds when it is written"
        town.price = Decimal("0.006")
        await asyncio.sleep(400)
        made = await other.decide("rate/confirm", {"proposal": words})
        record = town.customer(SERVICE).contact.metadata
        assert record["rate_override"] == f"0.009000000000000000:{ANN}:{made['from']}:{made['until']}:{BETH}"
        assert "rate_proposal" not in record
        assert made["until"] - made["from"] == 7200
        await asyncio.sleep(61)
        assert (await services.rates.current_rate()).market == 9 * 10**15
        await other.show("rate/confirm", {"proposal": words}, 409)
        shown = await ann.show("rate/end", {})
        assert f"End the rate that {ANN} set: it goes from $0.009 to the market's, now $0.006." in shown["sentence"]
        await ann.write("rate/end", {}, shown)
        assert "rate_override" not in town.customer(SERVICE).contact.metadata
        assert f"ended by {ANN}" in town.customer(SERVICE).contact.metadata["rate_override_reason:0"]

    run_desk(town, scenario)


def test_a_proposed_rate_is_withdrawn() -> None:
    town = Town([PLAIN])

    async def scenario(services: Services) -> None:
        ann = Desk(services, ANN)
        await ann.decide("rate", {"rate": "0.009", "hours": 2})
        words = town.customer(SERVICE).contact.metadata["rate_proposal"]
        assert await ann.decide("rate/withdraw", {"proposal": words}) == {}
        assert not [name for name in town.customer(SERVICE).contact.metadata if name.startswith("rate_")]
        assert "Proposed:" not in await ann.page("/admin/rate")

    run_desk(town, scenario)


def test_without_a_price_the_last_known_one_bounds_an_order() -> None:
    late = payment(cents=0, amount=1500 * WHOLE_TOKEN, tx_hash=tx_hash(2), sequence=1, block=110)
    town = Town([payment(), late])
    town.price = Decimal("0")

    async def scenario(services: Services) -> None:
        assert (await advanced(services, late)).cause == "rate_unavailable"
        ann = Desk(services, ANN)
        refused = await ann.show(ORDERS, {"form": ann.form(late), "order": "release:0.0112"}, 409)
        assert "as last known ($0.005555" in refused["detail"], "the newest quoted payment: $50 for 9,000 tokens"
        shown = await ann.show(ORDERS, {"form": ann.form(late), "order": "release:0.0110"})
        assert shown["second"] is True, "more than 20 % above"
        done = await ann.decide(ORDERS, {"form": ann.form(late), "order": "release:0.006"})
        assert done["state"] == "credited"

    run_desk(town, scenario)


def test_without_any_known_price_no_rate_is_given() -> None:
    town = Town([PLAIN])
    town.price = Decimal("0")

    async def scenario(services: Services) -> None:
        ann = Desk(services, ANN)
        for path, body in (
            (ORDERS, {"form": ann.form(PLAIN), "order": "release:0.006"}),
            ("rate", {"rate": "1", "hours": 1}),
        ):
            assert "cannot be judged" in (await ann.show(path, body, 409))["detail"]

    run_desk(town, scenario)


def test_taking_a_grant_back_shows_the_balance_and_warns_of_spent_credit() -> None:
    town = Town([PLAIN])

    async def scenario(services: Services) -> None:
        mod = Desk(services, MODERATOR)
        grant = services.grants.create_grant_id()
        values = {"grant": grant, "operator": MODERATOR, "customer": CUSTOMER}
        form = services.sign_ins.tokens.seal("grant", values)
        given = await mod.post(
            "grants", {"form": form, "amount": "7.50", "reason": "goodwill", "note": "They waited, ticket 1"}
        )
        body = {"reservation": given["reservation"]}
        shown = await mod.show("grants/undo", body)
        assert "Take $7.50 back from" in shown["sentence"]
        assert "from $7.50 to $0.00" in shown["sentence"]
        assert "spent" not in "".join(shown["notes"])
        charge(town, 500)
        assert (await mod.write("grants/undo", body, shown, 409))["type"].endswith("/changed")
        assert town.customer(CUSTOMER).balance == -250
        shown = await mod.show("grants/undo", body)
        assert "spent in part" in "".join(shown["notes"])
        charge(town, 20)
        charge(town, -20)
        undone = [await mod.write("grants/undo", body, shown) for _ in range(2)]
        assert {answer["state"] for answer in undone} == {"undone"}
        assert town.customer(CUSTOMER).balance == 500

    run_desk(town, scenario)


def test_decisions_are_written_while_the_customer_is_charged() -> None:
    town = Town([QUOTED])
    town.add(OTHER, {"wallet_address": WALLET})
    town.set_metadata(CUSTOMER, {"wallet_address": WALLET})

    async def scenario(services: Services) -> None:
        ann, beth, mod = Desk(services, ANN), Desk(services, BETH), Desk(services, MODERATOR)

        async def decide(desk: Desk, path: str, body: dict[str, Any], before: str) -> dict[str, Any]:
            shown = await desk.show(path, body)
            assert f"s of now {before}" in shown["sentence"].replace("its balance goes from ", "")
            charge(town, 7)
            return await desk.write(path, body, shown)

        charge(town, -2000)
        values = {"grant": services.grants.create_grant_id(), "operator": MODERATOR, "customer": CUSTOMER}
        form = services.sign_ins.tokens.seal("grant", values)
        given = {"form": form, "amount": "7.50", "reason": "goodwill", "note": "They waited, ticket 1"}
        body = {"reservation": (await mod.post("grants", given))["reservation"]}
        assert (await decide(mod, "grants/undo", body, "$27.50"))["state"] == "undone"
        body = {"form": ann.form(f"wallet:{WALLET}"), "order": f"customer:{CUSTOMER}"}
        assert (await decide(ann, "orders/wallet", body, "$19.93"))["text"] == f"customer:{CUSTOMER}"
        first = await decide(ann, ORDERS, {"form": ann.form(QUOTED), "order": "release"}, "$19.86")
        assert first["waits"] is True
        await decide(ann, ORDERS, {"form": ann.form(QUOTED), "order": "withdraw"}, "$19.79")
        again = await decide(ann, ORDERS, {"form": ann.form(QUOTED), "order": "release"}, "$19.72")
        body = {"form": beth.form(QUOTED), "confirms": again["order"]}
        assert (await decide(beth, ORDERS, body, "$19.65"))["state"] == "credited"

    run_desk(town, scenario, MAX_PAYMENT_CENTS="100000")


def test_a_deleted_customers_card_says_what_is_known() -> None:
    first, second = payment(), payment(tx_hash=tx_hash(2), sequence=1, block=101)
    town = Town([first, second])

    async def scenario(services: Services) -> None:
        await sweeping(services, 100)
        assert services.status_cache.credited_status(second)
        town.stripe.account.delete(CUSTOMER)
        page = await Desk(await opened(town), ANN).page("/admin/stuck")
        assert "No stuck payments" in page, "what is swept is not looked at again"
        town.set_metadata(SERVICE, {"stateless_billing": "service", "grants": "cus_Grants"})
        fresh = await opened(town)
        page = await Desk(fresh, ANN).page("/admin/stuck")
        assert "It may have been credited before." in page
        assert "The service record does not list it as open." in page
        assert "it knows nothing of a credit" in page
        assert "hold no deletion of it" in page, "this deletion is older than events go back"
        services.status_cache.invalidate(second)
        page = await Desk(services, ANN).page("/admin/stuck")
        assert "it was credited then" in page

    run_desk(town, scenario)


def test_a_deleted_customers_card_shows_its_deletion_as_stripes_events_tell_it() -> None:
    first, second = payment(), payment(tx_hash=tx_hash(2), sequence=1, block=101)
    town = Town([first, second])

    async def scenario(services: Services) -> None:
        await advanced(services, first)
        town.set_metadata(CUSTOMER, {cursor_key(first.chain_id, first.gateway): f"1:{first.tx_hash}"})
        town.stripe.account.delete(CUSTOMER, int(LoopClock().wall()))
        page = await Desk(await opened(town), ANN).page("/admin/stuck")
        assert page.count("Stripe&#39;s events: it was deleted on ") == 2
        assert "Its cursor was behind this payment then: it had been credited." in page
        assert "Its cursor was before this payment then: it was not yet seen as credited." in page

    run_desk(town, scenario)


def test_a_collision_of_keys_is_told_as_what_it_is() -> None:
    paid = payment()
    town = Town([paid])
    town.add(OTHER, {})

    async def scenario(services: Services) -> None:
        headers = {"Authorization": f"Bearer {DEFAULT_KEY}", "Stripe-Version": API_VERSION}
        headers["Idempotency-Key"] = credit_key(paid, 0)
        path = f"/v1/customers/{OTHER}/balance_transactions"
        assert town.stripe.handle("POST", path, headers, b"amount=-1&currency=usd").status == 200
        assert (await advanced(services, paid)).collides
        page = html.unescape(await Desk(services, ANN).page("/admin/stuck"))
        assert "pending: stripe unclear" in page
        assert "Stripe holds this payment's key with other facts: it answered, and it refuses another credit" in page
        assert "the key is free with the payment's next 23 hours" in page
        assert "Stripe gave no clear answer" not in page, "it did answer"
        assert not town.rows(CUSTOMER)

    run_desk(town, scenario)


def test_all_decisions_are_listed_with_what_followed() -> None:
    town = Town([PLAIN, payment(tx_hash=tx_hash(2), sequence=1, block=101, cents=540_000)])
    town.add(OTHER, {})
    large = payment(tx_hash=tx_hash(2), sequence=1, block=101, cents=540_000)

    async def scenario(services: Services) -> None:
        ann, beth, mod = Desk(services, ANN), Desk(services, BETH), Desk(services, MODERATOR)
        assert "No decisions." in await mod.page("/admin/decisions")
        done = await ann.decide(ORDERS, {"form": ann.form(PLAIN), "order": "release:0.0065"})
        waiting = await ann.decide(ORDERS, {"form": ann.form(large), "order": "release"})
        await ann.decide("rate", {"rate": "0.009", "hours": 1})
        words = town.customer(SERVICE).contact.metadata["rate_proposal"]
        await beth.decide("rate/confirm", {"proposal": words})
        values = {"grant": services.grants.create_grant_id(), "operator": MODERATOR, "customer": CUSTOMER}
        form = services.sign_ins.tokens.seal("grant", values)
        body = {"form": form, "amount": "7.50", "reason": "goodwill", "note": "They waited, ticket 1"}
        given = await mod.post("grants", body)
        await ann.decide("grants/undo", {"reservation": given["reservation"]})
        page = await mod.page("/admin/decisions?days=7")
        assert f'data-copy="{done["credit"]}"' in page
        table = list(csv.DictReader(io.StringIO(await mod.page("/admin/decisions.csv?days=7"))))
        facts = [(row["kind"], row["operator"], row["second_operator"], row["cents"], row["outcome"]) for row in table]
        assert sorted(facts) == [
            ("order", ANN, "", "540000", "waits for another admin"),
            ("order", ANN, "", "975", "the payment is credited"),
            ("rate", ANN, BETH, "", "holds"),
            ("reversal", ANN, "", "-750", "taken back"),
        ]
        found = await mod.page(f"/admin?q={done['order']}")
        assert f"This is the order “release:0.0065” of {ANN}" in found
        assert f"/admin/customers/{CUSTOMER}" in found
        page = await mod.page(f"/admin/customers/{CUSTOMER}")
        for order, fate in ((done["order"], "stands"), (waiting["order"], "waits for another admin")):
            row = page.partition(f'<tr id="{order}"')[2].partition("</tr>")[0]
            assert fate in row
            assert f"<bdi>{ANN}</bdi>: <bdi>{WHY}</bdi>" in row
        assert f'<tr id="{done["order"]}"' not in await mod.page(f"/admin/customers/{OTHER}")
        confirmed = await beth.decide(ORDERS, {"form": beth.form(large), "confirms": waiting["order"]})
        await ann.decide("rate/end", {})
        table = list(csv.DictReader(io.StringIO(await mod.page("/admin/decisions.csv"))))
        rate = next(row for row in table if row["kind"] == "rate")
        assert rate["outcome"] == "over"
        assert f"ended by {ANN}" in rate["reason"]
        mine = next(row for row in table if row["entry"] == waiting["order"])
        assert (mine["second_operator"], mine["credit"]) == (f"{BETH}: {WHY}", confirmed["credit"])
        page = await mod.page(f"/admin/customers/{CUSTOMER}")
        assert f"Second admin: <bdi>{BETH}</bdi>: <bdi>{WHY}</bdi>" in page

    run_desk(town, scenario, MAX_PAYMENT_CENTS="100000")


def test_an_override_against_the_last_known_rate_takes_two_admins() -> None:
    town = Town([payment()])
    town.price = Decimal("0")

    async def scenario(services: Services) -> None:
        ann = Desk(services, ANN)
        shown = await ann.show("rate", {"rate": "0.005555", "hours": 1})
        assert shown["second"] is True, "the newest quote may follow from an earlier override"
        assert not any("more than 20 %" in note for note in shown["notes"])
        assert any("not known" in note for note in shown["notes"])

    run_desk(town, scenario)


def test_a_second_press_does_not_set_a_rate_again_that_another_admin_ended() -> None:
    town = Town([payment()])

    async def scenario(services: Services) -> None:
        ann, beth = Desk(services, ANN), Desk(services, BETH)
        body = {"rate": "0.0065", "hours": 1}
        shown = await ann.show("rate", body)
        await ann.write("rate", body, shown)
        await beth.decide("rate/end", {})
        again = await ann.write("rate", body, shown, 409)
        assert again["type"].endswith("/already_done")
        now = int(services.clock.wall())
        assert not any(override.applies_at(now) for override in await services.overrides.history())

    run_desk(town, scenario)


def test_a_form_sent_again_says_that_its_order_was_withdrawn_meanwhile() -> None:
    town = Town([PLAIN])
    town.price = Decimal("1")

    async def scenario(services: Services) -> None:
        ann, beth = Desk(services, ANN), Desk(services, BETH)
        body = {"form": ann.form(PLAIN), "order": "release"}
        town.set_metadata(CUSTOMER, {"gateway_payments": "off"})
        shown = await ann.show(ORDERS, body)
        assert (await ann.write(ORDERS, body, shown))["waits"] is True
        await beth.decide(ORDERS, {"form": beth.form(PLAIN), "order": "withdraw"})
        again = await ann.write(ORDERS, body, shown, 409)
        assert again["type"].endswith("/already_done")
        assert "withdrawn since" in again["detail"]
        assert [row.metadata["order"] for row in rows(town)] == ["release", "withdraw"]

    run_desk(town, scenario, MAX_ORDER_CENTS="1000")
