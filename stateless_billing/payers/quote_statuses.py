"""Tells whether a quote of ours was paid, and whether it still can be: from the chain alone."""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from chain import provider
from chain.errors import ChainError, InconsistentChainData, NodeError
from chain.failover import FailoverProvider
from chain.gateway import Gateway
from chain.payment import Block, Payment
from chain.provider import NodeProvider
from chain.signatures import Quote, Signer, quote_signer
from stateless_billing.crediting.confirmations import REQUIRED_NODES, Confirmations
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.finality import CLOCK_TOLERANCE_SECONDS, MAX_HEAD_AGE_SECONDS
from stateless_billing.payers.responses import QuotePaymentResponse, QuoteStatusResponse
from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.concurrency_limiter import ConcurrencyLimiter, QueueFull
from stateless_billing.settings import MAX_QUOTE_SECONDS

_MAX_CONCURRENT = 6
_MAX_QUEUED = 60
_QUEUE_TIMEOUT_SECONDS = 5.0
_NODE_STATUS_SECONDS = 2
_SEARCH_WINDOW = 500  # payments: what is read of many serves the next question, should the time for one be over
_ANSWER_SECONDS = 15.0  # of one node; without its word nothing is called void
# No quote is signed for longer, nor on a chain that is further behind our clock.
_EARLIEST_PAYMENT_SECONDS = MAX_QUOTE_SECONDS + MAX_HEAD_AGE_SECONDS + CLOCK_TOLERANCE_SECONDS
_NOT_OURS = "This is not a quote that we signed for this gateway{}. Send all fields as `/api/quotes` answered them."


@dataclass(frozen=True, slots=True)
class Word:
    """What one node says: how far the chain is, and the payment by the quote or else with its sequence, if any."""

    latest: Block
    finalized: Block
    payment: Payment | None


class QuoteStatuses:
    """Answers `POST /api/quotes/status`. Asks every node that answers, since one alone may be behind or lie."""

    def __init__(
        self,
        *,
        nodes: FailoverProvider,
        gateways: Sequence[Gateway],
        confirmations: Confirmations,
        signer: Signer,
        clock: Clock,
    ) -> None:
        self._nodes = nodes
        self._gateways = {gateway.address: gateway for gateway in gateways}
        self._confirmations = confirmations
        self._signer = signer
        self._clock = clock
        self._limiter = ConcurrencyLimiter(_MAX_CONCURRENT, _MAX_QUEUED, _QUEUE_TIMEOUT_SECONDS)

    async def find(self, address: str, quote: Quote, signature: bytes) -> QuoteStatusResponse:
        """Return the status of a quote for the gateway at `address`.

        Raises: ProblemError if it is not ours or under load; ChainError, also before its deadline if the nodes differ.
        """
        gateway = self._gateways.get(address)
        if gateway is None:
            raise ProblemError("invalid_input", _NOT_OURS.format(", which is none of ours"))
        signer = quote_signer(gateway.chain_id, address, quote, signature)
        if signer is None:
            raise ProblemError("invalid_input", _NOT_OURS.format(""))
        try:
            async with self._limiter.slot():
                # A gateway may have another signer than the newest one has.
                if signer != self._signer.address and signer != await gateway.signer():
                    raise ProblemError("invalid_input", _NOT_OURS.format(""))
                words = await self._ask_nodes(gateway, quote)
        except QueueFull as error:
            raise ProblemError("busy", "Too many lookups right now. Nothing was decided. Try again.") from error
        now = int(self._clock.wall())
        required = min(REQUIRED_NODES, len(self._nodes.providers))
        status = decide(quote, words, now, required)
        if status is not None:
            return status
        if now <= quote.deadline:
            raise InconsistentChainData("too few nodes agree on whether a quote was paid")
        return QuoteStatusResponse(state="undecided", payment=None)

    async def _ask_nodes(self, gateway: Gateway, quote: Quote) -> list[Word]:
        """Return the words of the nodes that answer. Raises: ChainError if none does."""
        await self._confirmations.refresh_nodes(_NODE_STATUS_SECONDS)
        nodes = self._nodes.answering or self._nodes.providers
        answers = await asyncio.gather(*(_ask(node, gateway, quote) for node in nodes))
        words = [answer for answer in answers if isinstance(answer, Word)]
        if not words:
            raise next(answer for answer in answers if isinstance(answer, ChainError))
        return words


async def _ask(node: NodeProvider, shared: Gateway, quote: Quote) -> Word | ChainError:
    """Read the heads first: what is read after them includes the blocks up to them."""
    gateway = shared.bound_to(node)
    gateway.share_blocks(shared, [(node, node)])
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await _read_word(node, gateway, quote)
    except ChainError as error:
        return error
    except TimeoutError:
        return NodeError(f"{node.name} did not tell in {_ANSWER_SECONDS:.0f} s whether a quote was paid")


async def _read_word(node: NodeProvider, gateway: Gateway, quote: Quote) -> Word:
    finalized = await provider.block(node, "finalized")
    latest = await provider.block(node, "latest")
    customer_id = await gateway.customer_of(quote.wallet)
    payment = await _payment_with_sequence(gateway, customer_id, quote.sequence)
    is_settled = _pays(quote, payment) if payment else latest.time <= quote.deadline
    if not is_settled:
        payment = await _find_by_terms(gateway, quote) or payment
    return Word(latest, finalized, payment)


async def _payment_with_sequence(gateway: Gateway, customer_id: str | None, sequence: int) -> Payment | None:
    """Read the customer's payment with this sequence; None before it is made."""
    if not customer_id or await gateway.payment_count(customer_id) <= sequence:
        return None
    [payment] = await gateway.payments_of(customer_id, sequence, sequence + 1, verify_receipts=True)
    return payment


async def _find_by_terms(gateway: Gateway, quote: Quote) -> Payment | None:
    """Find the payment by a quote among all payments of its time.

    The contract's owner may have moved the wallet after it paid, and the present customer's payments say nothing of it.
    """
    blocks = await gateway.blocks_between(quote.deadline - _EARLIEST_PAYMENT_SECONDS, quote.deadline)
    while blocks:  # the newest first: most quotes are paid at once or never, and none lives as long as the range
        start = bisect_left(blocks, blocks[-1].stop - _SEARCH_WINDOW, key=lambda block: block.start)
        start = min(start, len(blocks) - 1)
        for payment in await gateway.payments_at(blocks[start:]):
            if payment.sequence == quote.sequence and _pays(quote, payment):
                return await _payment_with_sequence(gateway, payment.customer_id, quote.sequence)
        del blocks[start:]
    return None


def _pays(quote: Quote, payment: Payment) -> bool:
    """Whether a payment with the quote's sequence is by the quote."""
    terms = (payment.wallet, payment.amount, payment.cents)
    return terms == (quote.wallet, quote.amount, quote.cents) and payment.time <= quote.deadline


def decide(quote: Quote, words: Sequence[Word], now: int, required: int) -> QuoteStatusResponse | None:
    """Decide by the words of several nodes, of which `required` must agree; None if they leave a doubt. Pure.

    One node's payment counts at once unless a node that has its block denies it; that there is none, or that it is
    final, never counts by one node of several.
    """
    shown = Counter(word.payment for word in words if word.payment)
    if shown:
        [(payment, supporters)] = shown.most_common(1)
        denied = any(word.payment != payment and word.latest.number >= payment.block for word in words)
        if denied and supporters < required:
            return None
        return _used(quote, payment, words, required)
    current = [word for word in words if now - word.latest.time <= MAX_HEAD_AGE_SECONDS]
    if len(current) < required:
        return None
    if sum(word.finalized.time > quote.deadline for word in current) >= required:
        return QuoteStatusResponse(state="void", payment=None)
    is_over = any(word.latest.time > quote.deadline for word in current)
    return QuoteStatusResponse(state="undecided" if is_over else "open", payment=None)


def _used(quote: Quote, payment: Payment, words: Sequence[Word], required: int) -> QuoteStatusResponse:
    """Compare a quote with the payment that has its sequence."""
    if not _pays(quote, payment):
        return QuoteStatusResponse(state="superseded", payment=None)
    final = sum(word.payment == payment and word.finalized.number >= payment.block for word in words) >= required
    return QuoteStatusResponse(
        state="paid",
        payment=QuotePaymentResponse(
            tx_hash=payment.tx_hash, ordinal=payment.ordinal, block=payment.block, time=payment.time, final=final
        ),
    )
