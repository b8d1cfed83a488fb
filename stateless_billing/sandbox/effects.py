"""What a fault does to one request, and the named effects that tests, demos and the control interface ask for.

The words of FAULTS: an answer is *lost* when the connection closes without it, *saved* when a retry under the same
idempotency key gets it again, *done* when the row was written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from stateless_billing.sandbox.answers import Delivery, Refusal
from stateless_billing.sandbox.api_keys import CUSTOMER_WRITE, forbidden, unauthorized
from stateless_billing.sandbox.idempotency import in_use
from stateless_billing.sandbox.limits import lock_timeout, rate_limited
from stateless_billing.sandbox.paging import SameSecond
from stateless_billing.sandbox.tellings import TRUTH, Lie, Telling

REASONS = ("global-concurrency", "global-rate", "endpoint-concurrency", "endpoint-rate", "resource-specific")


class Work(StrEnum):
    """Whether the request's work happens."""

    DONE = "done"
    SKIPPED = "skipped"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Effect:
    """One fault. Times in seconds.

    `early` is an answer given before keys, limits and the idempotency layer: nothing runs, nothing is saved.
    `instead` replaces what execution answers. `html` is the status of a page that the edge sends instead.
    `kept` is the share of the body that is sent; the head announces the whole length unless `shortened`.
    `telling` is what becomes of a listing of balance transactions; other requests go on as if it were not there.
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
    kept: float = 1.0
    shortened: bool = False
    before: float = 0.0
    inside: float = 0.0
    after: float = 0.0
    list_lag: float = 0.0
    date_offset: float = 0.0
    telling: Telling = TRUTH


NO_EFFECT = Effect()


def lost_before() -> Effect:
    """The connection closes; nothing was executed."""
    return Effect("lost_before", early=Refusal(0, ""), delivery=Delivery.LOST)


def lost_after() -> Effect:
    """Executed and saved; the connection closes without an answer."""
    return Effect("lost_after", delivery=Delivery.LOST)


def cut(kept: float = 0.5) -> Effect:
    """Executed and saved; a part of the body arrives under the full Content-Length, then the connection closes."""
    return Effect("cut", delivery=Delivery.CUT, kept=kept)


def shortened(kept: float = 0.5) -> Effect:
    """Executed and saved; a part of the body arrives as if it were all of it (200 with broken JSON)."""
    return Effect("shortened", kept=kept, shortened=True)


def closed_after() -> Effect:
    """Answered as usual; then the connection closes unannounced, which hits the next request on it."""
    return Effect("closed_after", delivery=Delivery.CLOSED)


def error_saved(status: int = 500) -> Effect:
    """Nothing is done, but the error is saved under the key."""
    return Effect("error_saved", work=Work.SKIPPED, instead=server_error(status))


def error_saved_done(status: int = 500) -> Effect:
    """The row is made, yet the error is answered and saved."""
    return Effect("error_saved_done", instead=server_error(status))


def error_saved_late(seconds: float = 108_000.0, status: int = 500, backdated: bool = False) -> Effect:
    """The error is saved; Stripe finishes the request `seconds` later (`backdated`: with the old `created`)."""
    error = server_error(status)
    return Effect("error_saved_late", work=Work.LATER, late_by=seconds, backdated=backdated, instead=error)


def error_unsaved(status: int = 500) -> Effect:
    """An error from before execution: nothing done, nothing saved."""
    return Effect("error_unsaved", early=server_error(status, should_retry=None))


def gateway(status: int = 502, executed: bool = False) -> Effect:
    """An HTML page from the edge, before execution or (`executed`) instead of the saved answer."""
    return Effect("gateway", early=None if executed else Refusal(0, ""), html=status)


def limited(reason: str = "endpoint-rate") -> Effect:
    """A rate limiter's 429 with one of `REASONS`."""
    if reason not in REASONS:
        raise ValueError(f"unknown reason {reason}")
    return Effect("limited", early=rate_limited(reason))


def locked(saved: bool = False) -> Effect:
    """A 429 `lock_timeout` from inside execution. Whether Stripe saves it is not documented, hence the switch."""
    return Effect("locked", work=Work.SKIPPED, instead=lock_timeout(), saved=saved)


def unknown_key() -> Effect:
    """A 401, as after a revocation."""
    return Effect("unknown_key", early=unauthorized("Invalid API Key provided: sk_test_****oked"))


def not_permitted(permission: str = CUSTOMER_WRITE) -> Effect:
    """A 403 that names a missing permission."""
    return Effect("not_permitted", early=forbidden("rk_test_****rict", "acct_", permission))


def key_in_use() -> Effect:
    """A 409, as if another request held the key."""
    return Effect("key_in_use", early=in_use("(another request)"))


def slow(before: float = 0.0, inside: float = 0.0, after: float = 0.0) -> Effect:
    """Only slow: before execution, inside it (the key is taken, the row not yet written), or after it."""
    return Effect("slow", before=before, inside=inside, after=after)


def stale_list(seconds: float = 1500.0) -> Effect:
    """A list without the rows of the last `seconds`."""
    return Effect("stale_list", list_lag=seconds)


def listing_cut() -> Effect:
    """A ledger's page that is not the last says `has_more: false`; a page that is the last stays as it is."""
    return Effect("listing_cut", telling=Telling(Lie.CUT))


def listing_ends_empty(later: bool = False) -> Effect:
    """A ledger's page is empty and says `has_more: false` where rows are left (`later`: only if it has a cursor)."""
    return Effect("listing_ends_empty", telling=Telling(Lie.EMPTY, later))


def listing_hole() -> Effect:
    """One row is missing from a ledger's page, any but the one from which paging goes on; `has_more` is right."""
    return Effect("listing_hole", telling=Telling(Lie.HOLE))


def same_second_order(order: str = SameSecond.OLDEST_FIRST) -> Effect:
    """A ledger's page orders the rows of one second in this way (`SameSecond`), whatever the stand-in is set to."""
    return Effect("same_second_order", telling=Telling(same_second=SameSecond(order)))


def wrong_date(seconds: float) -> Effect:
    """A `Date` header that is wrong by `seconds`."""
    return Effect("wrong_date", date_offset=seconds)


def server_error(status: int, should_retry: str | None = "false") -> Refusal:
    """Stripe's own error; it answers `Stripe-Should-Retry: false` where a retry would only replay it."""
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
