"""The `register` command against the stand-ins and a real gateway: anybody can send its output."""

import json

from stateless_billing.sandbox.localchain import encode_call
from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.shop import Shop

CLEAN, FINDINGS, USAGE, UNREAD = 0, 1, 2, 3


def rows(printed: str) -> list[dict[str, object]]:
    """Parse JSON Lines."""
    return [json.loads(line) for line in printed.splitlines()]


def registered(stack: Stack, wallet: str) -> bytes:
    """Return the gateway's customer of a wallet."""
    customer_id = stack.chain.call(stack.gateways[0], "customerOf(address)", wallet, returns="bytes32")
    return bytes(customer_id).rstrip(b"\0")


def test_anybody_can_register_all_customers_and_then_none_is_left(shop: Shop) -> None:
    stack = shop.stack
    customers = [shop.customer() for _ in range(130)]
    done = stack.run("register")
    assert done.returncode == CLEAN, done.stderr
    assert "130 signed, 0 registered already, 0 findings" in done.stderr
    assert {(row["wallet"], row["customer_id"]) for row in rows(done.stdout)} == {
        (customer.wallet, customer.id) for customer in customers
    }
    registration = rows(done.stdout)[0]
    signature = bytes.fromhex(str(registration["signature"])[2:])
    customer = str(registration["customer_id"]).encode().ljust(32, b"\0")
    call = encode_call(
        "register(address,bytes32,uint256,bytes)",
        str(registration["wallet"]),
        customer,
        registration["deadline"],
        signature,
    )
    stranger = stack.chain.accounts[9]
    stack.chain.send(stranger, stack.gateways[0], call)

    batches = rows(stack.run("register", "--calldata").stdout)
    assert [batch["registrations"] for batch in batches] == [100, 29]
    for batch in batches:
        receipt = stack.chain.send(stranger, str(batch["to"]), str(batch["data"]))
        print(f"{batch['registrations']} registrations: {int(receipt['gasUsed'], 16)} gas")
    assert all(registered(stack, customer.wallet) == customer.id.encode() for customer in customers)

    again = stack.run("register")
    assert (again.returncode, again.stdout) == (CLEAN, "")
    assert "0 signed, 130 registered already, 0 findings" in again.stderr


def test_conflicts_are_reported_and_the_rest_is_signed(shop: Shop, service: Service) -> None:
    stack = shop.stack
    registered, moved, fresh, twin = shop.customer(), shop.customer(), shop.customer(), shop.customer()
    for customer in (registered, moved):
        shop.register(service, customer)
    stack.control("POST", f"customers/{moved.id}", {"metadata": {}})
    heir = stack.add_customer("heir@example.org", moved.wallet)
    second = stack.add_customer("twin@example.org", twin.wallet)
    shouting = stack.control("POST", "customers", {"metadata": {"wallet_address": "0x" + "AB" * 20}})["id"]
    several = stack.control("POST", "customers", {"metadata": {"wallet_address": f"0x{'cd' * 20},0x{'ef' * 20}"}})["id"]
    done = stack.run("register")
    assert done.returncode == FINDINGS
    assert [row["customer_id"] for row in rows(done.stdout)] == [fresh.id]
    for line in (
        f"finding capitals: {shouting}:",
        f"finding several_wallets: {several}:",
        f"finding wallet_of_several_customers: {', '.join(sorted([twin.id, second]))}:",
        f"finding registered_otherwise: {heir}: {moved.wallet} is registered for {moved.id}",
    ):
        assert line in done.stderr
    for mended in (shouting, several, second, heir):
        stack.control("POST", f"customers/{mended}", {"metadata": {}})
    assert stack.run("register").returncode == CLEAN


def test_nothing_is_signed_that_the_gateway_would_refuse(stack: Stack) -> None:
    done = stack.run("register", SIGNER_KEY="0x" + "77" * 32)
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert "accepts" in done.stderr


def test_a_partial_listing_signs_nothing(shop: Shop) -> None:
    shop.customer()
    body = {"effect": "error_unsaved", "method": "GET", "template": "/v1/customers", "times": 10}
    shop.stack.control("POST", "faults", body)
    done = shop.stack.run("register")
    assert (done.returncode, done.stdout) == (UNREAD, "")
