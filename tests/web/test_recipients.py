"""Customers that may not be credited, and wallets whose customer is not clear, on every page of the desk."""

import re
from typing import Any

import pytest

from chain.payment import customer_id_to_bytes32
from stateless_billing.sandbox.effects import EFFECTS
from stateless_billing.sandbox.routes import SEARCH
from stateless_billing.services.container import Services
from tests.fakes.desk import ANN, MODERATOR, Desk, run_desk
from tests.fakes.factories import CUSTOMER, WALLET, payment
from tests.fakes.in_process_service import GRANTS, Town

TWIN = "cus_Twin1"
NOTE = "They waited for an hour"


def town_of_twins() -> Town:
    """Two customers with one wallet, of which the first has paid."""
    town = Town([payment(block=200)])
    town.set_metadata(CUSTOMER, {"wallet_address": WALLET})
    town.add(TWIN, {"wallet_address": WALLET})
    return town


def register(town: Town, customer_id: str) -> None:
    """Register every wallet for a customer."""
    town.nodes[0].views["customerOf"] = int.from_bytes(customer_id_to_bytes32(customer_id))


def grant(services: Services, customer_id: str, **changes: Any) -> dict[str, Any]:
    """A completed grant form."""
    values = {"grant": services.grants.create_grant_id(), "operator": MODERATOR, "customer": customer_id}
    form = services.sign_ins.tokens.seal("grant", values)
    return {"form": form, "amount": "7.50", "reason": "goodwill", "note": NOTE} | changes


def change(town: Town, obstacle: str) -> None:
    """Make the customer one that cannot be credited."""
    customer = town.customer(CUSTOMER)
    if obstacle == "not_payable":
        customer.contact.metadata["gateway_payments"] = "off"
    else:
        customer.currency = "eur"


@pytest.mark.parametrize(
    ("obstacle", "words", "refusal"),
    [
        ("not_payable", "It gets no quotes and no grants", "gateway_payments is off"),
        ("currency", "not billed in dollars. It gets no grants", "is not billed in dollars"),
    ],
)
def test_who_cannot_be_credited_gets_no_grant_before_and_at_the_write(obstacle: str, words: str, refusal: str) -> None:
    town = town_of_twins()

    async def scenario(services: Services) -> None:
        mod = Desk(services, MODERATOR)
        assert 'id="grant"' in await mod.page(f"/admin/customers/{CUSTOMER}")
        before = grant(services, CUSTOMER)
        assert (await mod.post("grants/check", before))["cents"] == 750
        change(town, obstacle)  # after the page was opened
        for path in ("grants/check", "grants"):
            refused = await mod.post(path, before, 409)
            assert refused["type"].endswith("/unusable_customer")
            assert refusal in refused["detail"]
            assert "Nothing was given." in refused["detail"]
        assert not town.rows(GRANTS)
        for path in (f"/admin/customers/{CUSTOMER}", f"/admin?q={CUSTOMER}"):
            page = await mod.page(path)
            assert words in " ".join(re.sub("<[^>]+>", "", page).split())
            assert 'id="grant"' not in page

    run_desk(town, scenario)


def test_the_desk_shows_duplicates_suggests_one_and_the_pick_can_be_taken_back() -> None:
    town = town_of_twins()
    town.customer(TWIN).contact.metadata["gateway_payments"] = " OFF"

    async def scenario(services: Services) -> None:
        ann, mod = Desk(services, ANN), Desk(services, MODERATOR)
        path = f"/admin?q={WALLET}"
        page = await mod.page(path)
        assert f"Suggested: <code>{CUSTOMER}</code>, because no other can be credited." in page
        del town.customer(TWIN).contact.metadata["gateway_payments"]
        page = await mod.page(path)
        assert f"Suggested: <code>{CUSTOMER}</code>, because it has 1 payment on the chain and no other has" in page
        assert page.count(">suggested</span>") == 1
        assert sorted(re.findall(r"(\d) on the chain</dd>", page)) == ["0", "1"]
        assert "data-wallet" not in page
        both = f"The wallet {WALLET} is also that of {TWIN}. It gets no quotes until an admin chooses."
        assert both in await mod.page(f"/admin/customers/{CUSTOMER}")
        answer = await mod.post("grants/check", grant(services, CUSTOMER))
        assert (answer["warnings"], answer["owner"]) == ([both], None)
        forms = dict(re.findall(r'data-wallet="([^"]+)" data-customer="([^"]+)"', await ann.page(path)))
        form = next(form for form, customer_id in forms.items() if customer_id == TWIN)
        shown = await ann.show("orders/wallet", {"form": form, "order": f"customer:{TWIN}"})
        assert f"({TWIN}, wallet {WALLET})" in shown["sentence"]
        assert f"Suggested is {CUSTOMER}, because it has 1 payment" in "".join(shown["notes"])
        await ann.write("orders/wallet", {"form": form, "order": f"customer:{TWIN}"}, shown)
        page = await ann.page(path)
        assert f"By an admin&#39;s order it is registered for {TWIN} when it pays." in page
        withdraw = re.search(r'data-wallet="([^"]+)">', page)
        assert withdraw
        assert f"order it is registered for {TWIN} when it pays." in await mod.page(f"/admin/customers/{CUSTOMER}")
        await ann.decide("orders/wallet", {"form": withdraw[1], "order": "withdraw"})
        assert "Next: an admin chooses below" in await ann.page(path)

    run_desk(town, scenario)


def test_a_pick_of_a_customer_that_takes_no_payments_says_so() -> None:
    town = town_of_twins()
    town.customer(TWIN).contact.metadata["gateway_payments"] = "off"

    async def scenario(services: Services) -> None:
        ann = Desk(services, ANN)
        form = ann.form(f"wallet:{WALLET}")
        shown = await ann.show("orders/wallet", {"form": form, "order": f"customer:{TWIN}"})
        assert "the wallet still gets no quotes" in "".join(shown["notes"])

    run_desk(town, scenario)


def test_a_wallet_that_is_anothers_on_the_chain_is_named_everywhere() -> None:
    town = town_of_twins()
    register(town, TWIN)

    async def scenario(services: Services) -> None:
        mod = Desk(services, MODERATOR)
        sentence = f"On the chain the wallet {WALLET} belongs to {TWIN}. What it pays is credited to that customer"
        assert sentence in await mod.page(f"/admin/customers/{CUSTOMER}")
        assert "On the chain the wallet" not in await mod.page(f"/admin/customers/{TWIN}")
        for query in (WALLET, CUSTOMER):
            page = await mod.page(f"/admin?q={query}")
            assert page.count(f'belongs to <a href="/admin/customers/{TWIN}">') == 1
        answer = await mod.post("grants/check", grant(services, CUSTOMER))
        assert answer["owner"] == TWIN
        assert sentence in answer["warnings"][0]
        own = await mod.post("grants/check", grant(services, TWIN))
        assert (own["owner"], own["warnings"]) == (None, [])

    run_desk(town, scenario)


def test_a_search_of_stripes_that_is_away_hides_no_customer() -> None:
    town = town_of_twins()
    town.stripe.faults.add(EFFECTS["error_unsaved"](), method="GET", template=SEARCH, times=None)

    async def scenario(services: Services) -> None:
        mod = Desk(services, MODERATOR)
        assert "could not be read now" in await mod.page(f"/admin/customers/{CUSTOMER}")
        answer = await mod.post("grants/check", grant(services, CUSTOMER))
        assert "could not be read now" in answer["warnings"][0]

    run_desk(town, scenario)


def test_a_choice_sent_again_says_that_it_was_taken_back_meanwhile() -> None:
    town = town_of_twins()

    async def scenario(services: Services) -> None:
        ann = Desk(services, ANN)
        body = {"form": ann.form(f"wallet:{WALLET}"), "order": f"customer:{TWIN}"}
        shown = await ann.show("orders/wallet", body)
        done = await ann.write("orders/wallet", body, shown)
        assert await ann.write("orders/wallet", body, shown) == done, "a second press"
        await ann.decide("orders/wallet", {"form": ann.form(f"wallet:{WALLET}"), "order": "withdraw"})
        again = await ann.write("orders/wallet", body, shown, 409)
        assert again["type"].endswith("/already_done")

    run_desk(town, scenario)
