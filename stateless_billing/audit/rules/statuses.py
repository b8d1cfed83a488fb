"""The closed list of statuses of a report row, with the next action for each. Pure."""

from dataclasses import dataclass
from enum import StrEnum

SLA_SECONDS = 600  # how long a final payment may stay uncredited


class Status(StrEnum):
    """The status of a row; `RULES` defines each."""

    MATCHED = "matched"
    PENDING = "pending"
    MISSING_CREDIT = "missing_credit"
    MISSING_PAYMENT = "missing_payment"
    AMOUNT_MISMATCH = "amount_mismatch"
    DUPLICATE_CREDIT = "duplicate_credit"
    WRONG_CUSTOMER = "wrong_customer"
    WRONG_CURRENCY = "wrong_currency"
    METADATA_ALTERED = "metadata_altered"
    HELD = "held"
    GRANT = "grant"
    GRANT_OVER_CAP = "grant_over_cap"
    GRANT_NO_REASON = "grant_no_reason"
    UNEXPLAINED_CREDIT = "unexplained_credit"
    ACCEPTED = "accepted"
    RATE_OUT_OF_BAND = "rate_out_of_band"
    REVERSED = "reversed"
    CURSOR_AHEAD = "cursor_ahead"
    IDENTITY_DRIFT = "identity_drift"
    STRAY_TRANSFER = "stray_transfer"
    CUSTOMER_GONE = "customer_gone"


@dataclass(frozen=True, slots=True)
class Rule:
    """A status's short ID, whether it is an exception, its meaning, and the next action."""

    code: str
    exception: bool
    meaning: str
    next_action: str


OPEN = frozenset({Status.PENDING, Status.HELD, Status.RATE_OUT_OF_BAND, Status.STRAY_TRANSFER})
"""No exceptions, and something is still to be done or looked at."""

RULES: dict[Status, Rule] = {
    Status.MATCHED: Rule("R00", False, "one payment, one credit, in full", "nothing"),
    Status.PENDING: Rule("R01", False, "too young to judge", "wait; the service credits it once it is deep enough"),
    Status.MISSING_CREDIT: Rule(
        "R02", True, "a final payment without a credit", "run `audit repair`: it credits what is missing"
    ),
    Status.MISSING_PAYMENT: Rule(
        "R03",
        True,
        "a credit whose payment is not on the chain",
        "run `audit repair`: it reverses the credit once two readings show that its payment is gone",
    ),
    Status.AMOUNT_MISMATCH: Rule(
        "R04", True, "the credit's cents are not those of the payment", "find who wrote it; correct it by a reversal"
    ),
    Status.DUPLICATE_CREDIT: Rule(
        "R05", True, "a payment credited more than once", "run `audit repair`: it reverses the youngest surplus entry"
    ),
    Status.WRONG_CUSTOMER: Rule(
        "R06", True, "the credit sits on another customer", "reverse it there; the payment is then credited correctly"
    ),
    Status.WRONG_CURRENCY: Rule(
        "R07", True, "the credit is not in dollars, or no credit", "reverse it, and give what is due by hand"
    ),
    Status.METADATA_ALTERED: Rule(
        "R08", True, "the credit's texts are not those of the payment", "restore them in the Stripe Dashboard"
    ),
    Status.HELD: Rule("R09", False, "uncredited on purpose", "remove the cause, or give an order on the admin page"),
    Status.GRANT: Rule("R10", False, "given by a moderator within the caps", "nothing"),
    Status.GRANT_OVER_CAP: Rule("R11", True, "a grant that breaks a cap or its ledger", "ask who gave it; reverse it"),
    Status.GRANT_NO_REASON: Rule("R11", True, "a grant that does not say who or why", "ask who gave it; reverse it"),
    Status.UNEXPLAINED_CREDIT: Rule(
        "R12", True, "a credit of no known kind", "find who wrote it; reverse it, or accept it with a note"
    ),
    Status.ACCEPTED: Rule("R13", False, "an exception that was accepted with a note", "nothing until the note ends"),
    Status.RATE_OUT_OF_BAND: Rule("R14", False, "its rate is far from an independent one", "compare the price sources"),
    Status.REVERSED: Rule("R15", True, "reversals took back what was due", "run `audit repair`, or accept with a note"),
    Status.CURSOR_AHEAD: Rule(
        "R16", True, "a cursor that does not fit the chain", "remove that key in Stripe; the sweep writes it again"
    ),
    Status.IDENTITY_DRIFT: Rule(
        "R17", True, "chain and Stripe name different customers", "the owner corrects the wallet's customer"
    ),
    Status.STRAY_TRANSFER: Rule(
        "R18",
        False,
        "tokens came to the treasury without a payment, so nobody was credited",
        "ask the sender: send them back, or credit their worth by hand; add another contract to KNOWN_SOURCES",
    ),
    Status.CUSTOMER_GONE: Rule(
        "R19",
        True,
        "credited to another customer after its own was deleted, whose entries can no longer be read",
        "find out whether it was credited before the deletion; if so reverse this credit, else accept it with a note",
    ),
}
