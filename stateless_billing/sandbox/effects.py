"""Effects of faults on a request, by name, for tests, demos and the control interface.

An answer is *lost* if the connection closes without it, *saved* if a retry under the same idempotency key gets it
again, *done* if the row was written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from stateless_billing.sandbox.answers import Delivery, Refusal
from stateless_billing.sandbox.api_keys import CUSTOMER_WRITE, forbidden, unauthorized
from stateless_billing.sandbox.idempotency import in_use
from stateless_billing.sandbox.limits import lock_timeout, rate_limited
from stateless_billing.sandbox.listing_faults import NO_LISTING_FAULT, Lie, ListingFault
from stateless_billing.sandbox.paging import SameSecond

REASONS = ("global-concurrency", "global-rate", "endpoint-concurrency", "endpoint-rate", "resource-specific")


class Work(StrEnum):
    """Whether the request's work is executed."""

    DONE = "done"
    SKIPPED = "skipped"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of one fault. Times in seconds.

    `early` is an answer given before keys, limits and the idempotency layer: nothing runs, nothing is saved.
    `instead` replaces the answer of the execution. `html` is the status of a page that the edge sends instead.
    `sent_fraction` is the share of the body that is sent; the headers announce the full length unless `shortened`.
    `listing_fault` falsifies a listing of balance transactions; other requests ignore it.
    """

    name: str = ""
    early: Refusal | None = None
    work: Work = Work.DONE
    late_by: float = 0.0
    backdated: bool = False
    instead: Refusal | None = None
    saved: bool = True
    html: int = 0
    delivery: Delivery = Delivery.WHOLE
    sent_fraction: float = 1.0
    shortened: bool = False
    before: float = 0.0
    inside: float = 0.0
    after: float = 0.0
    list_lag: float = 0.0
    date_offset: float = 0.0
    listing_fault: ListingFault = NO_LISTING_FAULT


NO_EFFECT = Effect()


def lost_before() -> Effect:
    """The connection closes; nothing was executed."""
    return Effect("lost_before", early=Refusal(0, ""), delivery=Delivery.LOST)


def lost_after() -> Effect:
    """Executed and saved; the connection closes without an answer."""
    return Effect("lost_after", delivery=Delivery.LOST)


def cut(sent_fraction: float = 0.5) -> Effect:
    """Executed and saved; part of the body arrives under the full Content-Length, then the connection closes."""
    return Effect("cut", delivery=Delivery.CUT, sent_fraction=sent_fraction)


def shortened(sent_fraction: float = 0.5) -> Effect:
    """Executed and saved; part of the body arrives with a matching Content-Length (200 with broken JSON)."""
    return Effect("shortened", sent_fraction=sent_fraction, shortened=True)


def closed_after() -> Effect:
    """Answered as usual; then the connection closes without notice, which breaks the next request on it."""
    return Effect("closed_after", delivery=Delivery.CLOSED)


def error_saved(status: int = 500) -> Effect:
    """Not executed, but the error is saved under the key."""
    return Effect("error_saved", work=Work.SKIPPED, instead=server_error(status))


def error_saved_done(status: int = 500) -> Effect:
    """The row is written, but the error is answered and saved."""
    return Effect("error_saved_done", instead=server_error(status))


def error_saved_late(seconds: float = 108_000.0, status: int = 500, backdated: bool = False) -> Effect:
    """The error is saved; Stripe completes the request `seconds` later (`backdated`: with the old `created`)."""
    error = server_error(status)
    return Effect("error_saved_late", work=Work.LATER, late_by=seconds, backdated=backdated, instead=error)


def error_unsaved(status: int = 500) -> Effect:
    """An error before execution: nothing done, nothing saved."""
    return Effect("error_unsaved", early=server_error(status, should_retry=None))


def gateway(status: int = 502, executed: bool = False) -> Effect:
    """An HTML page from the edge, before execution or (`executed`) in place of the saved answer."""
    return Effect("gateway", early=None if executed else Refusal(0, ""), html=status)


def limited(reason: str = "endpoint-rate") -> Effect:
    """A 429 of a rate limiter with one of `REASONS`."""
    if reason not in REASONS:
        raise ValueError(f"unknown reason {reason}")
    return Effect("limited", early=rate_limited(reason))


def locked(saved: bool = False) -> Effect:
    """A 429 `lock_timeout` during execution. Stripe does not document whether it saves it, hence `saved`."""
    return Effect("locked", work=Work.SKIPPED, instead=lock_timeout(), saved=saved)


def unknown_key() -> Effect:
    """A 401, as after a key's revocation."""
    return Effect("unknown_key", early=unauthorized("Invalid API Key provided: sk_test_****oked"))


def not_permitted(permission: str = CUSTOMER_WRITE) -> Effect:
    """A 403 that names the missing permission."""
    return Effect("not_permitted", early=forbidden("rk_test_****rict", "acct_", permission))


def key_in_use() -> Effect:
    """A 409, as if another request held the key."""
    return Effect("key_in_use", early=in_use("(another request)"))


def slow(before: float = 0.0, inside: float = 0.0, after: float = 0.0) -> Effect:
    """A delay before execution, during it (the key is taken, the row not yet written), or after it."""
    return Effect("slow", before=before, inside=inside, after=after)


def stale_list(seconds: float = 1500.0) -> Effect:
    """A listing without the rows of the last `seconds`."""
    return Effect("stale_list", list_lag=seconds)


def listing_cut() -> Effect:
    """A ledger page other than the last says `has_more: false`; the last page is unchanged."""
    return Effect("listing_cut", listing_fault=ListingFault(Lie.CUT))


def listing_ends_empty(later: bool = False) -> Effect:
    """A ledger page is empty with `has_more: false` although rows remain (`later`: only if it has a cursor)."""
    return Effect("listing_ends_empty", listing_fault=ListingFault(Lie.EMPTY, later))


def listing_hole() -> Effect:
    """A ledger page lacks one row, but never the one that the next page starts from; `has_more` is correct."""
    return Effect("listing_hole", listing_fault=ListingFault(Lie.HOLE))


def same_second_order(order: str = SameSecond.OLDEST_FIRST) -> Effect:
    """A ledger page orders the rows of one second this way (`SameSecond`), overriding the stand-in's setting."""
    return Effect("same_second_order", listing_fault=ListingFault(same_second=SameSecond(order)))


def wrong_date(seconds: float) -> Effect:
    """A `Date` header that is off by `seconds`."""
    return Effect("wrong_date", date_offset=seconds)


def server_error(status: int, should_retry: str | None = "false") -> Refusal:
    """Return Stripe's own error, with `Stripe-Should-Retry: false` if a retry would only replay it."""
    headers = {} if should_retry is None else {"Stripe-Should-Retry": should_retry}
    return Refusal(status, "Sorry! There was an error while talking to Stripe.", kind="api_error", headers=headers)


EFFECTS: dict[str, Callable[..., Effect]] = {
    made.__name__: made
    for made in (
        lost_before,
        lost_after,
        cut,
        shortened,
        closed_after,
        error_saved,
        error_saved_done,
        error_saved_late,
        error_unsaved,
        gateway,
        limited,
        locked,
        unknown_key,
        not_permitted,
        key_in_use,
        slow,
        stale_list,
        listing_cut,
        listing_ends_empty,
        listing_hole,
        same_second_order,
        wrong_date,
    )
}
