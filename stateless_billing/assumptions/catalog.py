"""The assumptions that can be seen to break while a process runs, by the label of their counter. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Assumption:
    """What is `assumed`, and what the counter says: `broken`."""

    assumed: str
    broken: str
    mend: str


_TO_STRIPE = "The log line names the entries: compare them with the audit, and send their IDs to Stripe's support."
_TO_NODE = (
    "The log line names the node and the blocks: compare them with another node, and replace the one that is wrong."
)

ASSUMPTIONS: Mapping[str, Assumption] = {
    "key_accepted_twice": Assumption(
        "Stripe executes one request a key, and never long after it answered",
        "two entries say that they are the same credit, grant or reversal",
        "Run the audit, and reverse the younger entry if both count. " + _TO_STRIPE,
    ),
    "saved_answer_out_of_time": Assumption(
        "The entry in the answer to a write was created while the key was in use",
        "the answer to a write was an entry from another time than its key's",
        _TO_STRIPE,
    ),
    "saved_answer_differs": Assumption(
        "The answer to a write is the entry that was asked for",
        "the answer to a write was another entry; it was not taken for the credit",
        _TO_STRIPE,
    ),
    "list_went_back": Assumption(
        "A list never loses an entry that it showed",
        "a list omitted an entry, older than half an hour, that it had shown",
        _TO_STRIPE,
    ),
    "list_lagged": Assumption(
        "A list shows an entry within half an hour",
        "a list omitted an entry that this process wrote more than half an hour before",
        _TO_STRIPE,
    ),
    "list_out_of_order": Assumption(
        "A list shows the newest entries first", "a list showed an older entry before a newer one", _TO_STRIPE
    ),
    "entry_changed": Assumption(
        "An entry keeps its amount, time and ending balance",
        "an entry had another amount, time or ending balance than before",
        _TO_STRIPE,
    ),
    "ending_balance_gap": Assumption(
        "Each entry opens at the ending balance of the one before",
        "the balances of a list's entries, all older than half an hour, do not follow from one another",
        "Payments of this customer that are older than 23 hours may be held (ledger_unproven). " + _TO_STRIPE,
    ),
    "finalized_went_back": Assumption(
        "A node's final block is never much older than before",
        "a node's final block was more than 15 minutes older than one it had shown",
        "It was reset, or its URL leads to several machines. " + _TO_NODE,
    ),
    "final_block_replaced": Assumption(
        "A final block is final",
        "two final blocks of one number had different hashes",
        _TO_NODE,
    ),
    "final_payment_changed": Assumption(
        "A final payment keeps its facts",
        "a final payment had other facts than before",
        "Run the audit: a credit without a payment is the one to look at. " + _TO_NODE,
    ),
    "price_history_changed": Assumption(
        "The price of a past time does not change",
        "the price feed gave another price, by more than a thousandth, for the same past time",
        "Plain payments of that time may be credited with either price. Compare the feed with another source; an admin"
        " may set the rate under /admin, Rate.",
    ),
}
