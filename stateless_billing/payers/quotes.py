"""Quotes: prices that our signer promises, and the calls that pay them."""

from dataclasses import dataclass
from datetime import UTC, datetime

from chain import contracts
from chain.contracts import TokenContract
from chain.gateway import Gateway
from chain.signatures import Quote, Signer, to_checksum_address
from stateless_billing.crediting.daily_limit import DailyLimit, Remaining
from stateless_billing.domain import money
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.money import Rate
from stateless_billing.payers.accounts import Accounts
from stateless_billing.payers.responses import CallResponse, Offer, QuoteResponse, RegistrationResponse
from stateless_billing.pricing.rate_overrides import RateSource
from stateless_billing.pricing.rates import NoRate
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.eligibility import find_obstacle
from stateless_billing.stripe.errors import StripeFailure

_NOTHING = "Nothing was sent and no money moved."
_SHARED = (
    f"More than one account has this wallet. We cannot tell which one to credit. {_NOTHING}"
    " Ask support to remove the wallet from all but one."
)
_MOVED = (
    "The payment contract has this wallet registered for an account that does not have it any more: a payment would"
    f" credit that account. {_NOTHING} Ask support to correct the registration, or pay from another wallet of yours."
)

_OBSTACLES = {
    "not_payable": "Payments are switched off for this account.",
    "currency": "This account is billed in another currency than US dollars: no payment could be credited to it.",
    "test_clock": "This account is on a test clock of Stripe's: no payment could be credited to it.",
    "customer_deleted": "This account was deleted: no payment could be credited to it.",
}


@dataclass(frozen=True, slots=True)
class QuoteTerms:
    """The settings that shape a quote."""

    minimum_cents: int
    discount_bps: int
    quote_seconds: int


class Quotes:
    """Makes quotes for the newest gateway."""

    def __init__(
        self,
        *,
        gateway: Gateway,
        accounts: Accounts,
        rates: RateSource,
        daily_limit: DailyLimit,
        signer: Signer,
        terms: QuoteTerms,
        clock: Clock,
    ) -> None:
        self._gateway = gateway
        self._accounts = accounts
        self._rates = rates
        self._daily_limit = daily_limit
        self._signer = signer
        self._terms = terms
        self._clock = clock

    async def offer(self, cents: int) -> Offer:
        """Price `cents` without signing. Raises: ProblemError."""
        return self._price(cents, await self._market_rate())

    async def create(self, wallet: str, cents: int, payer: str | None, origin: str) -> QuoteResponse:
        """Sign a quote of `cents` for a wallet that `origin` asks for.

        Raises: ProblemError, ChainError, StripeFailure.
        """
        customer_id, registered = await self._find_account(wallet, origin)
        await self._accounts.require_current_chain()
        rate = await self._current_rate()
        await self._check_cents(customer_id, cents)
        amount = await self._amount_for(cents, rate)
        sequence = await self._gateway.payment_count(customer_id)
        now = int(self._clock.wall())
        quote = Quote(wallet, sequence, amount, cents, now + self._terms.quote_seconds)
        signature = self._signer.quote(self._gateway.address, quote)
        registration = None if registered else self._registration(wallet, customer_id, quote.deadline)
        offer = self._price(cents, rate)
        return QuoteResponse(
            wallet=to_checksum_address(wallet),
            cents=cents,
            amount=offer.amount,
            rate=offer.rate,
            market_rate=offer.market_rate,
            rate_source=offer.rate_source,
            rate_at=offer.rate_at,
            discount_bps=offer.discount_bps,
            gateway=to_checksum_address(self._gateway.address),
            token=to_checksum_address(await self._gateway.token()),
            chain_id=self._gateway.chain_id,
            sequence=sequence,
            deadline=quote.deadline,
            signature="0x" + signature.hex(),
            registered=registered,
            registration=registration,
            calls=await self._calls(quote, signature, registration, payer),
        )

    def _price(self, cents: int, rate: Rate) -> Offer:
        discount_bps = self._terms.discount_bps
        return Offer(
            cents=cents,
            amount=str(money.amount_up(cents, rate.market, discount_bps)),
            rate=money.format_decimal(money.after_discount_down(rate.market, discount_bps)),
            market_rate=money.format_decimal(rate.market),
            rate_source=rate.source,
            rate_at=rate.at,
            discount_bps=discount_bps,
        )

    async def _find_account(self, wallet: str, origin: str) -> tuple[str, bool]:
        account = await self._accounts.find(wallet, origin)
        if account.conflict:
            raise ProblemError("wallet_conflict", _MOVED if account.registered else _SHARED)
        if account.customer is None:
            raise ProblemError(
                "unknown_wallet",
                f"No account has this wallet. {_NOTHING} Check the address, or add the wallet to your account first."
                " `GET /api/accounts/{wallet}` says `found` once an account has it: we may need a"
                " minute to find a new one.",
            )
        if obstacle := find_obstacle(account.customer):
            raise ProblemError("not_payable", f"{_OBSTACLES[obstacle]} {_NOTHING} Ask support.")
        return account.customer.id, account.registered

    async def _current_rate(self) -> Rate:
        if await self._gateway.paused():
            raise ProblemError("paused", f"The payment contract is paused. {_NOTHING} Try again later.")
        return await self._market_rate()

    async def _market_rate(self) -> Rate:
        try:
            return await self._rates.current_rate()
        except (NoRate, StripeFailure) as error:
            raise ProblemError(
                "rate_unavailable", f"There is no reliable price: {error}. {_NOTHING} Try again in a few minutes."
            ) from error

    async def _check_cents(self, customer_id: str, cents: int) -> None:
        if cents < self._terms.minimum_cents:
            raise ProblemError(
                "below_minimum",
                f"The smallest payment is {money.format_dollars(self._terms.minimum_cents)}. {_NOTHING}",
            )
        minimum_cents = self._terms.minimum_cents
        remaining = await self._daily_limit.remaining(customer_id, int(self._clock.wall()), minimum_cents)
        if remaining is None:
            raise ProblemError(
                "busy",
                f"This account's payments of the last 24 hours are still being counted. {_NOTHING}"
                " Try again in a few seconds.",
            )
        if cents > remaining.cents:
            raise ProblemError("above_maximum", self._describe_maximum(remaining))

    def _describe_maximum(self, remaining: Remaining) -> str:
        """Say what may be paid now, and when more."""
        limit = money.format_dollars(self._daily_limit.maximum_cents)
        if remaining.resets_at is None:
            return f"The largest payment is {limit}: that is this account's limit in 24 hours. {_NOTHING}"
        when = datetime.fromtimestamp(remaining.resets_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        if remaining.cents < self._terms.minimum_cents:
            return f"This account's limit of {limit} in 24 hours is reached. {_NOTHING} Pay again from {when} on."
        now = money.format_dollars(remaining.cents)
        return f"Of this account's limit of {limit} in 24 hours {now} is left, and more from {when} on. {_NOTHING}"

    async def _amount_for(self, cents: int, rate: Rate) -> int:
        amount = money.amount_up(cents, rate.market, self._terms.discount_bps)
        minimum = await self._gateway.minimum_amount()
        if amount < minimum:
            raise ProblemError(
                "below_minimum", f"The contract accepts no less than {money.format_tokens(minimum)} tokens. {_NOTHING}"
            )
        if not money.is_below_ceiling(cents, amount, await self._gateway.rate_ceiling()):
            raise ProblemError(
                "rate_unavailable",
                f"The price is above what the contract accepts. {_NOTHING} Try again later.",
            )
        return amount

    def _registration(self, wallet: str, customer_id: str, deadline: int) -> RegistrationResponse:
        """Sign a registration that ends with its quote: anybody may submit it, and the wallet may move meanwhile."""
        signature = self._signer.registration(self._gateway.address, wallet, customer_id, deadline)
        return RegistrationResponse(customer_id=customer_id, deadline=deadline, signature="0x" + signature.hex())

    async def _calls(
        self, quote: Quote, signature: bytes, registration: RegistrationResponse | None, payer: str | None
    ) -> list[CallResponse]:
        """Prepare the payer's calls in order: an approval if the allowance is too small, then the payment."""
        gateway = self._gateway.address
        erc20 = await self._gateway.token()
        token = TokenContract(self._gateway.reader, erc20)
        tokens = f"{money.format_tokens(quote.amount)} {await token.symbol()}"
        pay = contracts.encode_pay_quoted(quote.wallet, quote.amount, quote.cents, quote.deadline, signature)
        if registration:
            signed = bytes.fromhex(registration.signature[2:])
            register = contracts.encode_register(quote.wallet, registration.customer_id, registration.deadline, signed)
            pay = contracts.encode_multicall([register, pay])
        prepared = [_call(gateway, pay, f"Pay {tokens}")]
        if payer is None or await token.allowance(payer, gateway) < quote.amount:
            prepared.insert(0, _call(erc20, contracts.encode_approve(gateway, quote.amount), f"Allow {tokens}"))
        return prepared


def _call(to: str, data: str, label: str) -> CallResponse:
    return CallResponse(to=to_checksum_address(to), data=data, value="0x0", label=label)
