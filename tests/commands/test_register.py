"""`register` reads every page of customers or fails, retries transient failures, and signs what is missing."""

import pytest
from eth_abi.abi import decode

from chain.gateway import Gateway
from chain.signatures import Signer
from stateless_billing.commands import register
from stateless_billing.commands.register import Registration, create_calldata, create_plan, sign_registrations
from stateless_billing.commands.registration_plan import RegistrationTarget
from stateless_billing.stripe.errors import RequestRejected, StripeUnavailable
from tests.chain.fake_node import FakeNode
from tests.fakes.factories import CHAIN_ID, GATEWAY
from tests.fakes.fake_stripe import FakeStripe, Respond, raw_customer, raw_list, respond, respond_error

pytestmark = pytest.mark.anyio
KEY = "0x" + "11" * 32


def person(number: int, **metadata: str) -> dict[str, object]:
    """A customer with its own wallet, or with this metadata."""
    return raw_customer(id=f"cus_{number}", metadata=metadata or {"wallet_address": f"0x{number:040x}"})


def gateway() -> Gateway:
    """A gateway without registrations."""
    return Gateway(FakeNode([]), CHAIN_ID, GATEWAY)


async def planned(*says: Respond, pauses: tuple[float, ...] = ()) -> tuple[register.Plan, FakeStripe, list[str]]:
    """The plan from these answers, the fake Stripe, and the progress reports."""
    fake, reports = FakeStripe(*says), list[str]()
    return await create_plan(fake.api(), gateway(), reports.append, pauses), fake, reports


async def test_all_pages_are_read_and_our_records_skipped() -> None:
    first = respond(200, raw_list(person(3), person(2, stateless_billing="service"), has_more=True))
    last = respond(200, raw_list(person(1), person(9, other="x")))
    plan, fake, reports = await planned(first, last)
    assert [target.customer_id for target in plan.targets] == ["cus_1", "cus_3"]
    assert fake.sent_form(1)["starting_after"] == ["cus_2"]
    assert fake.sent_form(0) == {"limit": ["100"]}
    assert "4 customers read, 2 with a wallet" in reports


async def test_a_failed_page_is_retried() -> None:
    failures = [respond_error(500, "api_error"), respond_error(429, "rate_limit_error")]
    plan, fake, _ = await planned(*failures, respond(200, raw_list(person(1))), pauses=(0, 0))
    assert (len(plan.targets), len(fake.requests)) == (1, 3)
    with pytest.raises(StripeUnavailable):
        await planned(respond_error(500, "api_error"), pauses=(0, 0))


@pytest.mark.parametrize("cut", [raw_list(has_more=True), raw_list(person(1), has_more=None), {"data": [{}]}])
async def test_a_listing_without_a_proper_end_signs_nothing(cut: dict[str, object]) -> None:
    with pytest.raises(StripeUnavailable):
        await planned(respond(200, cut))


async def test_a_rejected_request_is_not_retried() -> None:
    with pytest.raises(RequestRejected):
        await planned(respond_error(400, "invalid_request_error", "parameter_unknown"))


async def test_registrations_recover_to_the_signer_and_batches_contain_them() -> None:
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    from chain.signatures import TYPES

    reports: list[str] = []
    targets = [RegistrationTarget(f"0x{number:040x}", f"cus_{number}") for number in range(1, 251)]
    rows = list(sign_registrations(targets, gateway(), Signer(KEY, CHAIN_ID), 2_000_000_000, reports.append))
    domain = {"name": "PaymentGateway", "version": "1", "chainId": CHAIN_ID, "verifyingContract": GATEWAY}
    message = {"wallet": rows[0].wallet, "customerId": b"cus_1".ljust(32, b"\0"), "deadline": 2_000_000_000}
    signable = encode_typed_data(domain, {"Registration": TYPES["Registration"]}, message)
    assert Account.recover_message(signable, signature=rows[0].signature).lower() == Signer(KEY, CHAIN_ID).address
    transactions = list(create_calldata(rows, gateway()))
    assert [transaction["registrations"] for transaction in transactions] == [100, 100, 50]
    [inner] = decode(["bytes[]"], bytes.fromhex(transactions[2]["data"][10:]))
    wallet, customer, deadline, signature = decode(["address", "bytes32", "uint256", "bytes"], inner[49][4:])
    assert (wallet, customer.rstrip(b"\0")) == (rows[249].wallet, b"cus_250")
    assert (deadline, signature) == (2_000_000_000, rows[249].signature)


def test_the_output_of_a_registration() -> None:
    assert Registration("0x" + "ab" * 20, "cus_A", 5, b"\1").line() == {
        "wallet": "0x" + "ab" * 20,
        "customer_id": "cus_A",
        "deadline": 5,
        "signature": "0x01",
    }
