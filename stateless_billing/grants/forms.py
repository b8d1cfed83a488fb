"""Validation of the grant form: amount, reason and note. Pure."""

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


_DIRECTION_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Unicode's Bidi_Control characters: unseen, they make a text read as another."""

_WITHOUT_WIDTH = "\u00ad\u180e\u200b\u2060\ufeff"
"""Characters that are not seen and mean nothing; the two joiners U+200C and U+200D are letters' business."""


def require_visible(text: str, subject: str, consequence: str) -> None:
    """Refuse characters that change the direction of text.

    Raises: ProblemError.
    """
    for position, character in enumerate(text, 1):
        if character in _DIRECTION_CONTROLS:
            raise ProblemError(
                "invalid_input",
                f"The {subject} has an unseen character at position {position} that changes how the text reads"
                f" (U+{ord(character):04X}). {consequence} Delete it, or type that part again.",
            )


def show_controls(text: str) -> str:
    """Show characters that change the direction of text by their names, in what was written before."""
    return "".join(f"[U+{ord(part):04X}]" if part in _DIRECTION_CONTROLS else part for part in text)


def to_one_line(text: str) -> str:
    """Replace control characters and those without any width by spaces, and each run of spaces by one."""
    return " ".join("".join(" " if _is_unseen(char) else char for char in text).split())


def _is_unseen(character: str) -> bool:
    return character in _WITHOUT_WIDTH or unicodedata.category(character) == "Cc"


def parse_note(text: str) -> str:
    """Normalize a note to one line without control characters; never truncate it.

    Raises: ProblemError.
    """
    require_visible(text, "note", _NOTHING)
    note = to_one_line(text)
    if len(note) < NOTE_FEWEST:
        raise ProblemError("invalid_input", f"Say why in at least {NOTE_FEWEST} characters. {_NOTHING}")
    if len(note) > NOTE_MOST:
        raise ProblemError(
            "invalid_input", f"The note has {len(note):,} characters. At most {NOTE_MOST} fit. {_NOTHING}"
        )
    return note


_AMOUNT = re.compile(r"\$?(?P<whole>[0-9]{1,9}|[0-9]{1,3}(?:,[0-9]{3}){1,2})(?:\.(?P<part>[0-9]{1,2}))?", re.ASCII)


def parse_cents(text: str) -> int:
    """Parse dollars as people write them (`7`, `7.5`, `$7.50`, `1,234.50`) to cents.

    Raises: ProblemError if the amount is ambiguous.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if not match:
        raise ProblemError("invalid_input", f"Write the amount in dollars, such as 7.50. {_NOTHING}")
    amount = int(match["whole"].replace(",", "")) * 100 + int((match["part"] or "").ljust(2, "0"))
    if amount == 0:
        raise ProblemError("invalid_input", f"The amount must be more than $0.00. {_NOTHING}")
    return amount
