"""Maps customers, ledgers and failed Stripe calls to the status of a payment."""

from collections.abc import Mapping, Sequence

from chain.payment import Payment, is_customer_id
from stateless_billing.bookkeeping.proofs import MAX_FAILURES, Proof
from stateless_billing.crediting.credit_case import CreditCase
from stateless_billing.crediting.credit_terms import CreditTerms
from stateless_billing.crediting.payment_status import PaymentStatus, credited_status
from stateless_billing.domain import ledger
from stateless_billing.domain.ledger import DescriptionPattern, Entry, MatchOutcome
from stateless_billing.domain.money import format_dollars
from stateless_billing.domain.order_rules import Order
from stateless_billing.stripe.eligibility import find_obstacle
from stateless_billing.stripe.errors import (
    InQuietZone,
    KeyReusedDifferently,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    RequestInProgress,
    RequestRejected,
    StripeFailure,
    StripeUnavailable,
)
from stateless_billing.stripe.objects import Customer

IN_PROGRESS_SECONDS = 5  # another process is writing the credit
_OBSTACLES = {
    "customer_deleted": "the Stripe customer was deleted",
    "test_clock": "the Stripe customer is on a test clock",
    "currency": "the Stripe customer is billed in a currency other than US dollars",
    "not_payable": "the Stripe customer is marked as not payable",
}
_FIRST_UNPROVEN_WAIT_SECONDS = 300
_UNPROVEN_WAIT_SECONDS = 3600
_UNPROVEN_LIMITS_WAIT_SECONDS = 60  # as long as one reading of the orders serves


def deleted_customer_status(customer: Customer, *, listing_missing: bool) -> PaymentStatus | None:
    """The status if the customer was deleted, which deletes its entries too. Raises: StripeUnavailable."""
    if customer.deleted:
        return maybe_credited_status(customer.id)
    if listing_missing:
        raise StripeUnavailable("Stripe returns the customer but not its entries")
    return None


def ineligible_customer_status(
    customer: Customer, terms: CreditTerms, order: Order | None, *, bookkeeping: bool
) -> PaymentStatus | None:
    """The status if this customer cannot be credited now, under its order if there is one."""
    cents = terms.price.cents if terms.price else None
    if bookkeeping:
        return PaymentStatus("held", cents, "customer_invalid", detail="a bookkeeping customer is never credited")
    cause = find_obstacle(customer)
    is_released = cause == "not_payable" and order is not None and order.target is None
    if cause and not is_released:
        return PaymentStatus("held", cents, cause, detail=_OBSTACLES[cause])
    if terms.held:
        return PaymentStatus("held", cents, terms.held, detail=terms.detail)
    if order and order.value is not None and cents is not None and cents > order.value:
        detail = f"the payment is worth more than the {format_dollars(order.value)} that order {order.id} allows"
        return PaymentStatus("held", cents, "over_limit", detail=detail)
    return None


def unproven_ledger_status(proof: Proof, ledger_name: str) -> PaymentStatus:
    """The status while the absence of a credit in a ledger is not proven."""
    if proof.wait_seconds:
        detail = f"the ledger of {ledger_name} showed no credit once; two readings, half an hour apart, are required"
        return PaymentStatus("pending", retry_after=proof.wait_seconds, detail=detail)
    detail = f"the ledger of {ledger_name} does not prove that no credit is there: {proof.flaw}"
    if proof.failures < MAX_FAILURES:
        return PaymentStatus("pending", retry_after=_FIRST_UNPROVEN_WAIT_SECONDS, detail=detail)
    customer_id = ledger_name if is_customer_id(ledger_name) else ""
    return PaymentStatus(
        "held", cause="ledger_unproven", retry_after=_UNPROVEN_WAIT_SECONDS, detail=detail, blamed_customer=customer_id
    )


def unproven_limits_status(flaw: str) -> PaymentStatus | None:
    """The status while a listing does not show that an order is within its admin's limits; None without a flaw."""
    if not flaw:
        return None
    detail = f"its order is applied once the list of orders shows that it is within its admin's limits: {flaw}"
    return PaymentStatus("pending", retry_after=_UNPROVEN_LIMITS_WAIT_SECONDS, detail=detail)


def credit_status(
    payment: Payment, entries: Sequence[Entry], other_credits: DescriptionPattern, *, redirected: bool
) -> PaymentStatus | None:
    """Find the credit among a customer's newest entries. Its reversal would be newer, so they show that too."""
    match = ledger.match(payment, None, entries, other_credits, redirected=redirected)
    if match.outcome is not MatchOutcome.CREDITED or match.entry is None:
        return None
    if ledger.net_cents(match.entry, entries) == 0:
        return PaymentStatus("reversed", cents=match.entry.cents, credit=match.entry.id)
    return credited_status(match.entry.cents, match.entry)


def covered_status(payment: Payment, terms: CreditTerms | None = None) -> PaymentStatus:
    """The status of a payment whose credit only the customer's cursor shows: of a plain one the cents are not known."""
    is_dust = terms is not None and terms.price is not None and terms.price.cents == 0
    return credited_status(0 if is_dust else payment.cents or None, None)


def reverses_older(entries: Sequence[Entry], credit: str | None = None) -> bool:
    """Whether the newest entries hold a reversal of one that is not among them: of `credit`, or of whichever."""
    shown = {entry.id for entry in entries}
    reversed_ids = {entry.metadata.get("reverses") for entry in entries if entry.kind == "reversal"}
    return credit in reversed_ids if credit else not reversed_ids <= shown


def find_objection(
    case: CreditCase,
    terms: CreditTerms,
    order: Order | None,
    ledgers: Mapping[str, Sequence[Entry]],
    *,
    other_credits: DescriptionPattern,
) -> PaymentStatus | None:
    """The status if any of the ledgers (by customer ID) forbids writing the credit."""
    cents = terms.price.cents if terms.price else None
    for customer_id, entries in ledgers.items():
        redirected = customer_id != case.customer_id
        match = ledger.match(case.payment, cents, entries, other_credits, redirected=redirected)
        if match.outcome is MatchOutcome.OTHER_FACTS and not case.final:
            return PaymentStatus("confirming", retry_after=30, detail="its sequence was credited with different facts")
        if match.outcome is MatchOutcome.ALTERED and order is not None:
            # The admin saw the entries older than the order and judged them not to be this credit.
            newer = [entry for entry in entries if entry.created > order.created]
            match = ledger.match(case.payment, cents, newer, other_credits, redirected=redirected)
        if match.outcome is MatchOutcome.ALTERED and match.entry:
            detail = f"{match.entry.id} on {customer_id} credits the same amount without naming a payment"
            return PaymentStatus("held", cents=cents, cause="ledger_altered", detail=detail)
    return None


def status_for_failure(error: StripeFailure) -> PaymentStatus:
    """The status of a payment after a failed Stripe call."""
    if isinstance(error, RequestRejected):
        causes = {"resource_missing": "customer_invalid", "customer_invalid": "customer_invalid"}
        return PaymentStatus("held", cause=causes.get(error.code or "", "stripe_refused"), detail=str(error))
    if isinstance(error, RequestInProgress):
        return PaymentStatus("pending", cause="stripe_unclear", retry_after=IN_PROGRESS_SECONDS, detail=str(error))
    if isinstance(error, KeyReusedDifferently):
        return PaymentStatus("pending", cause="stripe_unclear", detail=str(error), collides=True)
    if isinstance(error, OutcomeUnknown):
        return PaymentStatus("pending", cause="stripe_unclear", detail=str(error))
    if isinstance(error, RateLimited):
        return PaymentStatus("pending", cause="rate_limited", detail=str(error))
    if isinstance(error, InQuietZone):
        return PaymentStatus("pending", retry_after=error.seconds, detail=str(error))
    assert isinstance(error, StripeUnavailable | NotSent)
    return PaymentStatus("pending", cause="stripe_down", detail=str(error))


def maybe_credited_status(customer_id: str, reason: str = "") -> PaymentStatus:
    """The status if a customer was deleted with its entries, which may have included the credit."""
    detail = f"{customer_id} was deleted with its entries: the payment may have been credited there before"
    if reason:
        detail = f"{detail} ({reason})"
    return PaymentStatus("held", cause="customer_deleted", detail=detail, blamed_customer=customer_id)
