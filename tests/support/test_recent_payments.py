"""What is known of a payment without asking Stripe: by memory, by the service record, or not at all."""

import pytest

from stateless_billing.bookkeeping.records import OpenCustomer, OpenPayments
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.support.recent_payments import (
    UNCHECKED,
    KnownPayment,
    RecordPosition,
    find_state,
    group_by_reason,
)
from tests.chain.fake_node import history
from tests.fakes.factories import CUSTOMER, payment
from tests.fakes.in_process_service import SHORT, Town, advanced

OPEN = RecordPosition(10, OpenPayments({CUSTOMER: OpenCustomer(2, "over_limit")}, {4: "customer_invalid"}))


@pytest.mark.parametrize(
    ("sequence", "customer", "index", "final", "known"),
    [
        (1, CUSTOMER, 3, True, ("credited", None)),
        (2, CUSTOMER, 5, True, ("held", "over_limit")),
        (3, CUSTOMER, 6, True, (UNCHECKED, None)),  # the record names the first open payment only
        (0, None, 4, True, ("held", "customer_invalid")),
        (0, "cus_Other", 9, True, ("credited", None)),
        (0, "cus_Other", 10, True, (UNCHECKED, None)),
        (0, "cus_Other", 10, False, ("confirming", None)),
        (0, "cus_Other", None, True, (UNCHECKED, None)),
    ],
)
def test_the_record_tells_where_memory_does_not(
    sequence: int, customer: str | None, index: int | None, final: bool, known: tuple[str, str | None]
) -> None:
    event = payment(sequence=sequence, customer_id=customer)
    assert find_state(event, index, None, OPEN, final=final) == known
    status = PaymentStatus("pending", cause="stripe_down")
    assert find_state(event, index, status, OPEN, final=final) == ("pending", "stripe_down")


@pytest.mark.parametrize(
    ("recorded", "known"),
    [
        ("stripe_unclear", ("pending", "stripe_unclear")),
        ("node_disagreement", ("confirming", "node_disagreement")),
        ("pending", ("pending", None)),
        ("credited", (UNCHECKED, None)),
        ("a_cause_of_another_version", (UNCHECKED, None)),
    ],
)
def test_what_a_record_stores_is_a_cause_or_a_state(recorded: str, known: tuple[str, str | None]) -> None:
    position = RecordPosition(10, OpenPayments({CUSTOMER: OpenCustomer(0, recorded)}))
    assert find_state(payment(), 0, None, position, final=True) == known


def test_groups_begin_with_what_a_person_must_decide() -> None:
    known = [
        KnownPayment(payment(time=5), "confirming"),
        KnownPayment(payment(time=30), "held", "currency"),
        KnownPayment(payment(time=20), "held", "over_limit"),
        KnownPayment(payment(time=1), "pending", "stripe_down"),
        KnownPayment(payment(time=10), "held", "over_limit"),
    ]
    groups = [(group.state, group.cause, group.count, group.oldest) for group in group_by_reason(known)]
    assert groups == [
        ("held", "over_limit", 2, 10),
        ("held", "currency", 1, 30),
        ("pending", "stripe_down", 1, 1),
        ("confirming", None, 1, 5),
    ]


def test_an_overview_costs_stripe_nothing_and_learns_from_this_process() -> None:
    payments = history(*[2] * 30)
    town = Town(payments, strangers=["cus_Payer1"])

    async def scenario() -> None:
        services = await town.started()
        record = await services.records.load()
        town.stripe.log.reset()
        unknown = await services.recent_payments.overview(record)
        assert (len(unknown.latest), unknown.latest[0].payment, unknown.complete) == (50, payments[-1], True)
        assert [(group.state, group.count) for group in unknown.waiting] == [(UNCHECKED, 60)]
        assert not town.costs()
        await advanced(services, payments[-1])
        await advanced(services, payments[-2])
        town.stripe.log.reset()
        overview = await services.recent_payments.overview(record)
        assert [(known.state, known.cause) for known in overview.latest[:2]] == [
            ("credited", None),
            ("held", "customer_invalid"),
        ]
        assert [(group.state, group.cause, group.count) for group in overview.waiting] == [
            ("held", "customer_invalid", 1),
            (UNCHECKED, None, 58),
        ]
        assert not town.costs()
        assert not town.costs(record=True)
        assert not (await services.recent_payments.overview(None)).complete

    town.run(scenario())


def test_what_the_record_leaves_open_is_listed_however_old() -> None:
    payments = history(*[2] * 40)
    own = [event for event in payments if event.customer_id == "cus_Payer1"]
    opened = {f"open__8453__{SHORT}__00000000": "cus_Payer1:0:over_limit"}
    town = Town(payments, **{f"swept__8453__{SHORT}": "80"} | opened)

    async def scenario() -> None:
        services = await town.started()
        overview = await services.recent_payments.overview(await services.records.load())
        assert [(group.state, group.cause, group.count) for group in overview.waiting] == [
            ("held", "over_limit", 1),
            (UNCHECKED, None, 26),
        ]
        assert overview.waiting_payments == {event.identity for event in own}
        assert not overview.complete, "more of the customer's payments are open than are read"

    assert len(own) == 27
    town.run(scenario())
