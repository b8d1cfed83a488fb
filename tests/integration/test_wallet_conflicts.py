"""Wallets whose customer is not clear: refused, shown to moderators with one next action, and resolved by an admin."""

import re

from stateless_billing.sandbox.stack import Service
from tests.integration.operators import ADMIN, AUDITOR, MODERATOR, Operator
from tests.integration.shop import Shop, problem, wait_until


def test_a_wallet_that_moved_after_its_registration(shop: Shop, service: Service) -> None:
    """A stranger registered it for its former account: its next payment would credit that one."""
    former, owner = shop.customer(), shop.customer()
    shop.register(service, former)
    shop.stack.control("POST", f"customers/{former.id}", {"metadata": {"wallet_address": owner.wallet}})
    shop.stack.control("POST", f"customers/{owner.id}", {"metadata": {"wallet_address": former.wallet}})
    fresh = shop.stack.serve()
    body = {"wallet": former.wallet, "cents": 5_000}
    refused = problem(shop.stack.http.post(f"{fresh.url}/api/quotes", json=body), 409, "wallet_conflict")
    assert "no money moved" in refused["detail"]
    assert (
        "This wallet is linked to another account"
        in shop.stack.http.get(f"{fresh.url}/pay?wallet={former.wallet}").text
    )
    page = Operator(MODERATOR).get(fresh, f"/admin?q={former.wallet}").text
    assert f"has it registered for {former.id}" in page
    assert "correctCustomer" in page


def test_an_admin_orders_whom_to_register_for_a_wallet(shop: Shop, service: Service) -> None:
    holder, other = shop.customer(), shop.customer()
    shop.stack.control("POST", f"customers/{other.id}", {"metadata": {"wallet_address": holder.wallet}})
    body = {"wallet": holder.wallet, "cents": 5_000}
    problem(shop.stack.http.post(f"{service.url}/api/quotes", json=body), 409, "wallet_conflict")
    pay = shop.stack.http.get(f"{service.url}/pay?wallet={holder.wallet}").text
    assert "More than one account has this wallet" in pay
    assert "No account has this wallet" not in pay
    path = f"/admin?q={holder.wallet}"
    for reader in (MODERATOR, AUDITOR):
        page = Operator(reader).get(service, path).text
        assert "Next: an admin chooses below" in page
        assert "data-wallet=" not in page
    match = re.search(rf'data-wallet="([^"]+)" data-customer="{other.id}"', Operator(ADMIN).get(service, path).text)
    assert match
    form = {"form": match[1], "order": f"customer:{other.id}", "reason": "the owner wrote from the account's address"}
    for spoiled in ({"reason": ""}, {"form": match[1] + "x"}, {"order": "release"}, {"confirms": "cbtxn_1"}):
        answer = Operator(ADMIN).post(service, "/api/admin/orders/wallet", form | spoiled)
        assert answer.status_code == 422, answer.text
    assert Operator(MODERATOR).post(service, "/api/admin/orders/wallet", form).status_code == 403
    assert Operator(ADMIN).post(service, "/api/admin/orders", form).status_code == 422, "it is not about a payment"
    shown = Operator(ADMIN).post(service, "/api/admin/orders/wallet", form).json()
    assert f"Register the wallet {holder.wallet} for " in shown["sentence"]
    assert f"({other.id}, wallet {holder.wallet})" in shown["sentence"]
    written = form | {"shown": shown["shown"]}
    answers = [Operator(ADMIN).post(service, "/api/admin/orders/wallet", written).json() for _ in range(2)]
    assert answers[0] == answers[1], "one form orders once"
    fresh = shop.stack.serve()
    quote = shop.stack.http.post(f"{fresh.url}/api/quotes", json=body).json()
    assert quote["registration"]["customer_id"] == other.id
    wait_until(lambda: f"registered for {other.id}" in Operator(AUDITOR).get(fresh, path).text)
