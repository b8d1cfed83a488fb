"""Puts the reversal of a grant into words, before it is written."""

from stateless_billing.bookkeeping.records import get_paying_customer
from stateless_billing.domain.money import format_dollars
from stateless_billing.grants.granting import Grants
from stateless_billing.operators.roster import Operator
from stateless_billing.stripe.client import StripeApi
from stateless_billing.support.decisions.shown import Shown, describe_account

NOTHING = "Nothing was taken back."


class ReversalDecisions:
    """Prepares reversals. All methods raise: ProblemError, StripeFailure."""

    def __init__(self, stripe: StripeApi, grants: Grants) -> None:
        self._stripe = stripe
        self._grants = grants

    async def prepare(self, reservation_id: str, operator: Operator, reason: str) -> tuple[Shown, str]:
        """Put the reversal of a grant into words; also return the grant's form ID."""
        reserved = await self._grants.find_undoable(reservation_id, operator)
        customer = await get_paying_customer(self._stripe, reserved.customer)
        account = describe_account(reserved.customer, customer)
        cents = reserved.entry.cents
        sentence = f"Take {format_dollars(cents)} back from {account}."
        notes = [f"{reserved.operator} gave it: {reserved.note or reserved.reason}"]
        if account.balance is not None and account.balance < cents:
            notes.append("The credit is spent in part or whole: what is missing is owed on the next invoice.")
        button = f"Take {format_dollars(cents)} back"
        shown = Shown(sentence, (*notes, f"Why: {reason}"), button, balance=account.change(-cents))
        return shown, reserved.grant
