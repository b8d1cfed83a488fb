"""Every fault that `doctor` detects: key, records, clock, nodes, gateways, signer, price, mail and operators."""

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
    "settings",
    "stripe_key",
    "stripe_connection",
    "stripe_permissions",
    "stripe_excess",
    "stripe_records",
    "clock",
    "node_1",
    "node_1_logs",
    "agreement",
    "gateways",
    "price",
    "quotes",
    "deployment",
    "signer",
    "mail",
    "operators",
    "credit_hook",
]


def expect(checks: dict[str, Check], name: str, state: State, *words: str) -> Check:
    """Assert a check's state and that its line contains these words."""
    check = checks[name]
    assert check.state is state, check
    assert all(word in check.line() for word in words), check
    if state in (State.MEND, State.UNREAD):
        assert check.mend, "it says how to fix it"
    return check


async def test_a_correct_setup_has_notes_at_most(clinic: Clinic) -> None:
    checks = await clinic.visit()
    assert list(checks) == NAMES
    assert exit_code_of(checks.values()) == 0
    noted = {name for name, check in checks.items() if check.state is State.NOTE}
    assert noted == {"agreement", "deployment"}
    assert "a restricted key, test mode, account acct_" in checks["stripe_key"].detail
    assert f"chain {clinic.stack.chain.chain_id}, head" in checks["node_1"].detail
    recent, past = "the last 23 hours: 27", "48 hours of the past: 48 samples, 60 min apart, newest "
    expect(checks, "price", State.OK, recent, " samples, 5 min apart, newest ", past)


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
    checks = await clinic.visit(STRIPE_API_KEY=clinic.key("rk_test_too_weak", *permissions))
    check = expect(checks, "stripe_permissions", State.MEND, *missing)
    assert check.detail.count("rak_") == len(missing)
    assert checks["stripe_excess"].ok


@pytest.mark.parametrize("extra", ["rak_charge_read", "rak_payout_write", "rak_balance_read"])
async def test_excess_permissions_are_reported(clinic: Clinic, extra: str) -> None:
    checks = await clinic.visit(STRIPE_API_KEY=clinic.key("rk_test_strong", CUSTOMER_WRITE, BALANCE_WRITE, extra))
    expect(checks, "stripe_excess", State.MEND, extra.split("_")[1])
    assert checks["stripe_permissions"].ok


async def test_a_key_may_read_events_which_the_stuck_list_uses(clinic: Clinic) -> None:
    checks = await clinic.visit(
        STRIPE_API_KEY=clinic.key("rk_test_ev", CUSTOMER_WRITE, BALANCE_WRITE, "rak_event_read")
    )
    assert checks["stripe_excess"].ok


async def test_a_secret_key_is_a_note_in_test_mode_and_a_fault_in_live_mode(clinic: Clinic) -> None:
    expect(await clinic.visit(STRIPE_API_KEY="sk_test_sandbox"), "stripe_excess", State.NOTE, "Before going live")
    checks = await clinic.visit(STRIPE_API_KEY=clinic.key("sk_live_whole", full=True))
    expect(checks, "stripe_excess", State.MEND, "restricted key")
    expect(checks, "stripe_key", State.MEND, "live mode", "worthless tokens")


async def test_a_test_key_does_not_go_with_real_tokens(clinic: Clinic) -> None:
    checks = await clinic.visit(CHAIN_ID="8453")
    expect(checks, "stripe_key", State.MEND, "test mode", "worth nothing")
    expect(checks, "node_1", State.MEND, "is on chain", "CHAIN_ID")


async def test_an_invalid_key(clinic: Clinic) -> None:
    checks = await clinic.visit(STRIPE_API_KEY="rk_test_revoked_long_ago")
    expect(checks, "stripe_key", State.MEND, "does not accept")
    assert "stripe_permissions" not in checks
    assert "stripe_records" not in checks


async def test_an_unreachable_stripe_is_unread(clinic: Clinic) -> None:
    checks = await clinic.visit(STRIPE_API_BASE="http://127.0.0.1:9")
    expect(checks, "stripe_key", State.UNREAD, "not reached")
    assert exit_code_of(checks.values()) == 3
    clinic.stack.control("POST", "faults", {"effect": "error_unsaved", "times": 1})
    expect(await clinic.visit(), "stripe_key", State.UNREAD, "HTTP 500")


async def test_records_of_another_account(clinic: Clinic) -> None:
    stranger = clinic.stack.add_customer("stranger@example.org", "0x" + "77" * 20)
    expect(await clinic.visit(SERVICE_CUSTOMER_ID=stranger), "stripe_records", State.MEND, stranger, "--init")


async def test_a_wrong_clock(clinic: Clinic) -> None:
    clinic.stack.control("POST", "clock", {"offset": -600})
    checks = await clinic.visit()
    expect(checks, "clock", State.MEND, "this machine's clock is +60")
    assert checks["node_1"].ok, "no node is blamed for it"
    clinic.stack.control("POST", "clock", {"offset": -90})
    checks = await clinic.visit()
    expect(checks, "clock", State.NOTE, "this machine's clock is +9", "NTP")


async def test_a_failing_node_does_not_hide_the_others(clinic: Clinic) -> None:
    checks = await clinic.visit(RPC_URLS=f"http://127.0.0.1:9/v2/secret-path,{clinic.stack.chain.url}")
    expect(checks, "node_1", State.UNREAD, "node 1 (127.0.0.1)")
    assert checks["node_2"].ok
    assert checks["gateways"].ok
    assert not any("secret-path" in check.line() for check in checks.values())
    assert exit_code_of(checks.values()) == 3


Change = Callable[[str, list[Any], Any], Any]


def aged(head: str, seconds: int) -> Change:
    """Report a head as older than it is."""

    def lie(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and params[0] == head:
            return result | {"timestamp": hex(int(result["timestamp"], 16) - seconds)}
        return result

    return lie


async def test_a_node_that_is_behind(clinic: Clinic) -> None:
    expect(await clinic.visit(aged("latest", 100)), "node_1", State.MEND, "behind")
    expect(await clinic.visit(aged("latest", -400)), "node_1", State.MEND, "ahead of Stripe's clock")
    expect(await clinic.visit(aged("finalized", 5000)), "node_1", State.MEND, "plain payments wait")


async def test_nodes_that_disagree(clinic: Clinic) -> None:
    both = clinic.both_nodes()
    assert (await clinic.visit(RPC_URLS=both))["agreement"].state is State.OK

    def lie(method: str, params: list[Any], result: Any) -> Any:
        return result | {"hash": "0x" + "ab" * 32} if method == "eth_getBlockByNumber" else result

    expect(await clinic.visit(lie, OTHER_NODE, RPC_URLS=both), "agreement", State.MEND, "different hashes", "abab")
    twice = f"{clinic.stack.chain.url},{clinic.stack.chain.url}/?second"
    expect(await clinic.visit(RPC_URLS=twice), "agreement", State.NOTE, "one host")


def of_logs(change: Callable[[dict[str, Any], Any], Any]) -> Change:
    """Alter the results of eth_getLogs only."""
    return lambda method, params, result: change(params[0], result) if method == "eth_getLogs" else result


def limit_range(log_filter: dict[str, Any], result: Any) -> Any:
    """Reject ranges above ten blocks, as free plans do."""
    if "fromBlock" in log_filter and int(log_filter["toBlock"], 16) - int(log_filter["fromBlock"], 16) >= 10:
        raise LookupError("ranges over 10 blocks are not supported on the free plan")
    return result


def reject_block_hash(log_filter: dict[str, Any], result: Any) -> Any:
    """Reject filters by block hash."""
    if "blockHash" in log_filter:
        raise LookupError("invalid argument 0: blockHash is not supported")
    return result


def reject_batches(method: str, params: list[Any], result: Any) -> Any:
    """Reject batch requests."""
    return {"error": "no batches"} if method == "batch" else result


async def test_support_for_logs_and_batches(clinic: Clinic) -> None:
    clinic.stack.chain.mine(20)
    assert "ranges of 10 blocks" in (await clinic.visit(of_logs(limit_range)))["node_1_logs"].detail
    expect(await clinic.visit(of_logs(reject_block_hash)), "node_1_logs", State.MEND, "by block hash")
    expect(await clinic.visit(reject_batches), "node_1_logs", State.MEND, "in one request")
    emptied = of_logs(lambda log_filter, result: [] if result is None else result)
    expect(await clinic.visit(emptied), "node_1_logs", State.NOTE, "does not exist")


async def test_gateways_signer_and_quotes(clinic: Clinic) -> None:
    chain, gateway, owner = clinic.stack.chain, clinic.stack.gateways[0], clinic.stack.chain.accounts[0]
    expect(
        await clinic.visit(GATEWAY_ADDRESSES=clinic.stack.treasury), "gateways", State.MEND, "no contract", "GATEWAY"
    )
    expect(await clinic.visit(SIGNER_KEY="11" * 32), "signer", State.MEND, "SIGNER_KEY signs as", "setSigner")
    clinic.stack.control("POST", "price", {"price": "0.04"})
    expect(await clinic.visit(), "quotes", State.NOTE, "less than 2 times")
    clinic.stack.control("POST", "price", {"price": "0.06"})
    expect(await clinic.visit(), "quotes", State.MEND, "revert", "setRateCeiling")
    clinic.stack.control("POST", "price", {"price": "0.006"})
    chain.send(owner, gateway, encode_call("setMinimumAmount(uint256)", 10**22))
    expect(await clinic.visit(), "quotes", State.MEND, "MIN_PAYMENT_CENTS")
    chain.send(owner, gateway, encode_call("setRateCeiling(uint256)", 0))
    expect(await clinic.visit(), "quotes", State.NOTE, "no quotes")
    chain.send(owner, gateway, encode_call("pause()"))
    expect(await clinic.visit(), "gateways", State.NOTE, "paused")


async def test_a_deployment_that_differs_from_its_record(clinic: Clinic) -> None:
    record = clinic.records / f"{clinic.stack.chain.chain_id}.json"
    record.write_text(json.dumps({"chain_id": clinic.stack.chain.chain_id, "gateways": {}}))
    expect(await clinic.visit(), "deployment", State.MEND, "is not in deployments/", "tools/deploy record")
    record.write_text("{}")
    expect(await clinic.visit(), "deployment", State.MEND, "is not what `make deploy` writes")


@pytest.mark.parametrize(("fault", "words"), [("empty", ["0 samples"]), ("stale", ["5 min apart", "ten minutes old"])])
async def test_a_feed_that_answers_without_a_usable_price(clinic: Clinic, fault: str, words: list[str]) -> None:
    clinic.stack.control("POST", "price/faults", {"name": fault, "times": 1})
    expect(await clinic.visit(), "price", State.MEND, "the last 23 hours: ", *words)


async def test_no_price(clinic: Clinic) -> None:
    checks = await clinic.visit(COINGECKO_ID="nothing")
    expect(checks, "price", State.MEND, "HTTP 404", "COINGECKO_ID")
    expect(checks, "quotes", State.UNREAD, "without a price")


async def test_mail(clinic: Clinic) -> None:
    control = clinic.stack.control
    sent = len(control("GET", "mails"))
    expect(await clinic.visit(RESEND_API_BASE="http://127.0.0.1:9"), "mail", State.UNREAD, "not reached")
    control("POST", "mails/settings", {"full_access": True})
    expect(await clinic.visit(), "mail", State.NOTE, "full access")
    control("POST", "mails/settings", {"api_keys": ["re_another"], "full_access": False})
    expect(await clinic.visit(), "mail", State.MEND, "does not accept")
    control("POST", "mails/faults", {"name": "server_error"})
    control("POST", "mails/settings", {"api_keys": []})
    expect(await clinic.visit(), "mail", State.UNREAD, "HTTP 500")
    checks = await clinic.visit(RESEND_API_KEY="", MAIL_FROM="")
    expect(checks, "mail", State.NOTE, "wallets only")
    expect(checks, "operators", State.MEND, "not set up")
    assert len(control("GET", "mails")) == sent


async def test_operators_and_settings(clinic: Clinic) -> None:
    expect(await clinic.visit(OPERATORS=""), "operators", State.NOTE, "nobody can sign in")
    expect(await clinic.visit(OPERATORS="a@example.org=moderator"), "operators", State.NOTE, "Without an admin")
    single = await clinic.visit(OPERATORS=f"0x{'a' * 40}=admin", MAX_ORDER_CENTS="20000")
    expect(single, "operators", State.NOTE, "nobody else can confirm an order above $200.00")
    two = await clinic.visit(OPERATORS=f"0x{'a' * 40}=admin,0x{'b' * 40}=admin")
    expect(two, "operators", State.OK, "2 admin")
    expect(await clinic.visit(HOST="::"), "settings", State.MEND, "PUBLIC_URL", "does not start")
    checks = await clinic.visit(HOST="::", OPERATORS="")
    expect(checks, "settings", State.NOTE, "CLIENT_IP_HEADER", "STRIPE_API_KEY")
    checks = await clinic.visit(HOST="::", OPERATORS="", CLIENT_IP_HEADER="Fly-Client-IP")
    expect(checks, "settings", State.NOTE, "PUBLIC_URL")


async def test_the_webhooks_receiver_is_asked_without_the_secret(clinic: Clinic) -> None:
    checks = await clinic.visit(
        CREDIT_HOOK_URL=f"{clinic.stack.chain.url}/?key=sesame", CREDIT_HOOK_SECRET="s3same-of-hook"
    )
    expect(checks, "credit_hook", State.OK, "the receiver answers (HTTP ", "credits are sent signed")
    checks = await clinic.visit(
        CREDIT_HOOK_URL="http://127.0.0.1:9/sesame", CREDIT_HOOK_SECRET="x" * 12, CREDIT_HOOK_HEADER="X-Secret"
    )
    check = expect(checks, "credit_hook", State.NOTE, "not reached: ConnectError", "CREDIT_HOOK_URL")
    assert "sesame" not in check.line()
