"""Each thing the doctor can find: Stripe's key and records, clock, nodes, gateways, signer, price, mail, operators."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from stateless_billing.doctor.checks import Check, State, exit_code_of
from stateless_billing.sandbox.api_keys import BALANCE_READ, BALANCE_WRITE, CUSTOMER_READ, CUSTOMER_WRITE
from stateless_billing.sandbox.localchain import encode_call
from tests.doctor.conftest import OTHER_NODE, Clinic

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
NAMES = [
    *("settings", "stripe_key", "stripe_permissions", "stripe_excess", "stripe_records", "clock", "node_1"),
    *("node_1_logs", "agreement", "gateways", "quotes", "deployment", "signer", "price", "mail", "operators"),
]


def at(found: dict[str, Check], name: str, state: State, *words: str) -> Check:
    """The check of that name, which must be so and hold these words."""
    check = found[name]
    assert check.state is state, check
    assert all(word in check.line() for word in words), check
    if state in (State.MEND, State.UNREAD):
        assert check.mend, "it says what to do"
    return check


async def test_a_well_one_has_notes_at_most(clinic: Clinic) -> None:
    found = await clinic.visit()
    assert list(found) == NAMES
    assert exit_code_of(found.values()) == 0
    noted = {name for name, check in found.items() if check.state is State.NOTE}
    assert noted == {"agreement", "deployment"}
    assert "a restricted key, test mode, account acct_" in found["stripe_key"].detail
    assert f"chain {clinic.stack.chain.chain_id}, head" in found["node_1"].detail


async def test_it_changes_nothing_in_stripe(clinic: Clinic) -> None:
    clinic.stack.control("DELETE", "state")
    before = clinic.stack.control("GET", "state")["customers"]
    await clinic.visit()
    rows = clinic.stack.control("GET", "requests", None)
    assert {row["status"] for row in rows if row["endpoint"].startswith("POST")} == {400, 404}
    assert clinic.stack.control("GET", "state")["customers"] == before


@pytest.mark.parametrize(
    ("permissions", "missing"),
    [
        ((CUSTOMER_READ, BALANCE_WRITE), ["Customers: Write (rak_customer_write)"]),
        ((CUSTOMER_WRITE, BALANCE_READ), ["Customer balance transactions: Write (rak_"]),
        ((CUSTOMER_WRITE,), ["Customer balance transactions: Read (rak_", "Customer balance transactions: Write"]),
        ((BALANCE_WRITE,), ["Customers: Read (rak_customer_read)", "Customers: Read (search)", "Customers: Write"]),
    ],
)
async def test_a_missing_permission_is_named(clinic: Clinic, permissions: tuple[str, ...], missing: list[str]) -> None:
    found = await clinic.visit(STRIPE_API_KEY=clinic.key("rk_test_too_weak", *permissions))
    check = at(found, "stripe_permissions", State.MEND, *missing)
    assert check.detail.count("rak_") == len(missing)
    assert found["stripe_excess"].ok


@pytest.mark.parametrize("extra", ["rak_charge_read", "rak_payout_write", "rak_balance_read"])
async def test_more_than_needed_is_found(clinic: Clinic, extra: str) -> None:
    found = await clinic.visit(STRIPE_API_KEY=clinic.key("rk_test_strong", CUSTOMER_WRITE, BALANCE_WRITE, extra))
    at(found, "stripe_excess", State.MEND, extra.split("_")[1])
    assert found["stripe_permissions"].ok


async def test_a_secret_key_is_a_note_in_test_mode_and_a_fault_in_live_mode(clinic: Clinic) -> None:
    at(await clinic.visit(STRIPE_API_KEY="sk_test_sandbox"), "stripe_excess", State.NOTE, "Before going live")
    found = await clinic.visit(STRIPE_API_KEY=clinic.key("sk_live_whole", full=True))
    at(found, "stripe_excess", State.MEND, "restricted key")
    at(found, "stripe_key", State.MEND, "live mode", "worthless tokens")


async def test_a_test_key_does_not_go_with_real_tokens(clinic: Clinic) -> None:
    found = await clinic.visit(CHAIN_ID="8453")
    at(found, "stripe_key", State.MEND, "test mode", "worth nothing")
    at(found, "node_1", State.MEND, "is on chain", "CHAIN_ID")


async def test_a_key_that_is_none(clinic: Clinic) -> None:
    found = await clinic.visit(STRIPE_API_KEY="rk_test_revoked_long_ago")
    at(found, "stripe_key", State.MEND, "does not accept")
    assert "stripe_permissions" not in found
    assert "stripe_records" not in found


async def test_stripe_out_of_reach_is_unread(clinic: Clinic) -> None:
    found = await clinic.visit(STRIPE_API_BASE="http://127.0.0.1:9")
    at(found, "stripe_key", State.UNREAD, "not reached")
    assert exit_code_of(found.values()) == 3
    clinic.stack.control("POST", "faults", {"effect": "error_unsaved", "times": 1})
    at(await clinic.visit(), "stripe_key", State.UNREAD, "HTTP 500")


async def test_records_of_another_account(clinic: Clinic) -> None:
    stranger = clinic.stack.add_customer("stranger@example.org", "0x" + "77" * 20)
    at(await clinic.visit(SERVICE_CUSTOMER_ID=stranger), "stripe_records", State.MEND, stranger, "--init")


async def test_a_clock_that_is_wrong(clinic: Clinic) -> None:
    clinic.stack.control("POST", "clock", {"offset": -600})
    at(await clinic.visit(), "clock", State.MEND, "+60")


async def test_a_node_that_does_not_answer_hides_none_that_does(clinic: Clinic) -> None:
    found = await clinic.visit(RPC_URLS=f"http://127.0.0.1:9/v2/secret-path,{clinic.stack.chain.url}")
    at(found, "node_1", State.UNREAD, "node 1 (127.0.0.1)")
    assert found["node_2"].ok
    assert found["gateways"].ok
    assert not any("secret-path" in check.line() for check in found.values())
    assert exit_code_of(found.values()) == 3


Change = Callable[[str, list[Any], Any], Any]


def aged(which: str, seconds: int) -> Change:
    """One of the heads, older than it is."""

    def lie(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and params[0] == which:
            return result | {"timestamp": hex(int(result["timestamp"], 16) - seconds)}
        return result

    return lie


async def test_a_node_that_is_behind(clinic: Clinic) -> None:
    at(await clinic.visit(aged("latest", 100)), "node_1", State.MEND, "behind")
    at(await clinic.visit(aged("latest", -400)), "node_1", State.MEND, "set the clock")
    at(await clinic.visit(aged("finalized", 5000)), "node_1", State.MEND, "plain payments wait")


async def test_nodes_that_disagree(clinic: Clinic) -> None:
    both = clinic.both_nodes()
    assert (await clinic.visit(RPC_URLS=both))["agreement"].state is State.OK

    def lie(method: str, params: list[Any], result: Any) -> Any:
        return result | {"hash": "0x" + "ab" * 32} if method == "eth_getBlockByNumber" else result

    at(await clinic.visit(lie, OTHER_NODE, RPC_URLS=both), "agreement", State.MEND, "different hashes", "abab")
    twice = f"{clinic.stack.chain.url},{clinic.stack.chain.url}/"
    at(await clinic.visit(RPC_URLS=twice), "agreement", State.NOTE, "one host")


def of_logs(change: Callable[[dict[str, Any], Any], Any]) -> Change:
    """A lie about logs alone."""
    return lambda method, params, result: change(params[0], result) if method == "eth_getLogs" else result


def only_narrow(asked: dict[str, Any], result: Any) -> Any:
    """Ten blocks at most, as free plans have it."""
    if "fromBlock" in asked and int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) >= 10:
        raise LookupError("ranges over 10 blocks are not supported on the free plan")
    return result


def not_by_hash(asked: dict[str, Any], result: Any) -> Any:
    """No logs by block hash."""
    if "blockHash" in asked:
        raise LookupError("invalid argument 0: blockHash is not supported")
    return result


def no_batches(method: str, params: list[Any], result: Any) -> Any:
    """One call in a request."""
    return {"error": "no batches"} if method == "batch" else result


async def test_how_logs_are_served(clinic: Clinic) -> None:
    clinic.stack.chain.mine(20)
    assert "ranges of 10 blocks" in (await clinic.visit(of_logs(only_narrow)))["node_1_logs"].detail
    at(await clinic.visit(of_logs(not_by_hash)), "node_1_logs", State.MEND, "by block hash")
    at(await clinic.visit(no_batches), "node_1_logs", State.MEND, "in one request")
    emptied = of_logs(lambda asked, result: [] if result is None else result)
    at(await clinic.visit(emptied), "node_1_logs", State.NOTE, "does not exist")


async def test_gateways_signer_and_quotes(clinic: Clinic) -> None:
    chain, gateway, owner = clinic.stack.chain, clinic.stack.gateways[0], clinic.stack.chain.accounts[0]
    at(await clinic.visit(GATEWAY_ADDRESSES=clinic.stack.treasury), "gateways", State.MEND, "no contract", "GATEWAY")
    at(await clinic.visit(SIGNER_KEY="11" * 32), "signer", State.MEND, "SIGNER_KEY signs as", "setSigner")
    clinic.stack.control("POST", "price", {"price": "0.04"})
    at(await clinic.visit(), "quotes", State.NOTE, "less than 2 times")
    clinic.stack.control("POST", "price", {"price": "0.06"})
    at(await clinic.visit(), "quotes", State.MEND, "revert", "setRateCeiling")
    clinic.stack.control("POST", "price", {"price": "0.006"})
    chain.send(owner, gateway, encode_call("setMinimumAmount(uint256)", 10**22))
    at(await clinic.visit(), "quotes", State.MEND, "MIN_PAYMENT_CENTS")
    chain.send(owner, gateway, encode_call("setRateCeiling(uint256)", 0))
    at(await clinic.visit(), "quotes", State.NOTE, "no quotes")
    chain.send(owner, gateway, encode_call("pause()"))
    at(await clinic.visit(), "gateways", State.NOTE, "paused")


async def test_a_deployment_that_was_not_recorded_so(clinic: Clinic) -> None:
    record = clinic.records / f"{clinic.stack.chain.chain_id}.json"
    record.write_text(json.dumps({"chain_id": clinic.stack.chain.chain_id, "gateways": {}}))
    at(await clinic.visit(), "deployment", State.MEND, "is not in deployments/", "tools/deploy record")
    record.write_text("{}")
    at(await clinic.visit(), "deployment", State.MEND, "is not what `make deploy` writes")


async def test_no_price(clinic: Clinic) -> None:
    found = await clinic.visit(COINGECKO_ID="nothing")
    at(found, "price", State.MEND, "HTTP 404", "COINGECKO_ID")
    at(found, "quotes", State.UNREAD, "without a price")


async def test_mail(clinic: Clinic) -> None:
    control = clinic.stack.control
    sent = len(control("GET", "mails"))
    at(await clinic.visit(RESEND_API_BASE="http://127.0.0.1:9"), "mail", State.UNREAD, "not reached")
    control("POST", "mails/settings", {"full_access": True})
    at(await clinic.visit(), "mail", State.NOTE, "full access")
    control("POST", "mails/settings", {"api_keys": ["re_another"], "full_access": False})
    at(await clinic.visit(), "mail", State.MEND, "does not accept")
    control("POST", "mails/faults", {"name": "server_error"})
    control("POST", "mails/settings", {"api_keys": []})
    at(await clinic.visit(), "mail", State.UNREAD, "HTTP 500")
    found = await clinic.visit(RESEND_API_KEY="", MAIL_FROM="")
    at(found, "mail", State.NOTE, "wallets only")
    at(found, "operators", State.MEND, "not set up")
    assert len(control("GET", "mails")) == sent


async def test_operators_and_settings(clinic: Clinic) -> None:
    at(await clinic.visit(OPERATORS=""), "operators", State.NOTE, "nobody can sign in")
    at(await clinic.visit(OPERATORS="a@example.org=moderator"), "operators", State.NOTE, "Without an admin")
    one = await clinic.visit(OPERATORS=f"0x{'a' * 40}=admin", MAX_ORDER_CENTS="20000")
    at(one, "operators", State.NOTE, "nobody else can confirm an order above $200.00")
    two = await clinic.visit(OPERATORS=f"0x{'a' * 40}=admin,0x{'b' * 40}=admin")
    at(two, "operators", State.OK, "2 admin")
    found = await clinic.visit(HOST="::")
    at(found, "settings", State.NOTE, "CLIENT_IP_HEADER", "STRIPE_API_KEY")
    at(await clinic.visit(HOST="::", CLIENT_IP_HEADER="Fly-Client-IP"), "settings", State.NOTE, "PUBLIC_URL")
