"""What an operator is shown between the form of a decision and the button that writes. Pure."""

from dataclasses import dataclass

from stateless_billing.domain.ledger import CURRENCY
from stateless_billing.domain.money import format_dollars, format_money
from stateless_billing.stripe.objects import WALLET, Customer


@dataclass(frozen=True, slots=True)
class Shown:
    """The one sentence about a decision, what else must be known, and the words on the button that writes.

    `second`: it waits for another admin. `balance`: what the running balance is as of now, part of the sentence.
    """

    sentence: str
    notes: tuple[str, ...]
    button: str
    second: bool = False
    balance: str = ""

    @property
    def whole_sentence(self) -> str:
        """The sentence as it is shown."""
        return f"{self.sentence} {self.balance}".strip()

    @property
    def text(self) -> str:
        """What a decision is about: it is written only if this still reads the same.

        The balance is left out: charges lower it all the time, and no decision depends on it.
        """
        return "\n".join([self.sentence, *self.notes, self.button])


@dataclass(frozen=True, slots=True)
class Account:
    """A customer as a decision names it. `balance` in its currency's smallest unit; None if none can be read."""

    customer_id: str
    email: str | None = None
    wallet: str | None = None
    balance: int | None = None
    currency: str | None = None

    def __str__(self) -> str:
        wallet = f"wallet {self.wallet}" if self.wallet else "no wallet"
        if self.balance is None:
            return f"{self.customer_id} ({wallet}; not in Stripe)"
        return f"{self.email or 'a customer without an email address'} ({self.customer_id}, {wallet})"

    def change(self, cents: int) -> str:
        """Say what an entry of `cents` does to the balance."""
        if self.balance is None:
            return "Its balance cannot be read."
        if self.currency not in (None, CURRENCY):
            return f"Its balance, as of now {format_money(self.balance, self.currency)}, is not in dollars."
        if cents == 0:
            return f"Its balance, as of now {format_dollars(self.balance)}, stays."
        before, after = format_dollars(self.balance), format_dollars(self.balance + cents)
        return f"As of now its balance goes from {before} to {after}."


def describe_account(customer_id: str, customer: Customer | None, wallet: str | None = None) -> Account:
    """Describe a customer as Stripe shows it now; `wallet` where its metadata names none."""
    if customer is None or customer.deleted:
        return Account(customer_id, wallet=wallet)
    recorded = (customer.value(WALLET) or "").strip().lower() or wallet
    return Account(customer_id, customer.email, recorded, customer.balance_cents, customer.currency)


def describe_distance(rate: int, market: int) -> str:
    """Say how far a rate is from the market's: `15 % above the market's`."""
    percent = rate * 100 // market - 100
    if percent == 0:
        return "about the market's"
    return f"{percent} % above the market's" if percent > 0 else f"{-percent} % below the market's"
