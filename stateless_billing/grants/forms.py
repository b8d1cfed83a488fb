"""A grant's form: how long it lives, and what is written into it: amount, reason and note, checked. Pure."""

import re
import unicodedata

from stateless_billing.domain.errors import ProblemError

NOTE_FEWEST, NOTE_MOST = 10, 400
_NOTHING = "Nothing was given."

REASONS = {
    "goodwill": "Goodwill",
    "outage": "Outage or degraded service",
    "billing_error": "Billing error on our side",
    "lost_payment": "Payment that went wrong",
    "trial": "Trial or promotion",
    "other": "Other (say what)",
}

UNUSABLE = {
    "customer_deleted": "The customer is no longer in Stripe.",
    "currency": "The customer is not billed in dollars.",
    "test_clock": "The customer is on a Stripe test clock, so the times of its entries are not real.",
    "not_payable": "The customer gets no grants: gateway_payments is off in its metadata.",
    "lapsed": "It was not given within 23 hours.",
}


def parse_note(text: str) -> str:
    """A note as it is kept: one line, no control characters. Raises ProblemError; what was typed is never cut off."""
    kept = " ".join("".join(" " if unicodedata.category(one) == "Cc" else one for one in text).split())
    if len(kept) < NOTE_FEWEST:
        raise ProblemError("invalid_input", f"Say why in at least {NOTE_FEWEST} characters. {_NOTHING}")
    if len(kept) > NOTE_MOST:
        raise ProblemError(
            "invalid_input", f"The note has {len(kept):,} characters. At most {NOTE_MOST} fit. {_NOTHING}"
        )
    return kept


_AMOUNT = re.compile(r"\$?(?P<whole>[0-9]{1,9}|[0-9]{1,3}(?:,[0-9]{3}){1,2})(?:\.(?P<part>[0-9]{1,2}))?", re.ASCII)


def parse_cents(text: str) -> int:
    """Dollars as people write them: `7`, `7.5`, `$7.50`, `1,234.50`. Raises ProblemError for what could be misread."""
    found = _AMOUNT.fullmatch(text.strip())
    if not found:
        raise ProblemError("invalid_input", f"Write the amount in dollars, such as 7.50. {_NOTHING}")
    amount = int(found["whole"].replace(",", "")) * 100 + int((found["part"] or "").ljust(2, "0"))
    if amount == 0:
        raise ProblemError("invalid_input", f"The amount must be more than $0.00. {_NOTHING}")
    return amount
