"""Watches the accounts of open streams: all together cost the nodes one batched request a second, and Stripe nothing.

Each second one request reads every gateway's payment count. What is new is read once and tells whose accounts changed;
an account is read again only then. Credits come from the status cache: claims, the sweep and lookups fill it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec

from chain.errors import ChainError
from chain.failover import FailoverProvider
from chain.gateway import Gateway, Tip, read_tip
from chain.payment import Payment
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.daily_limit import DailyLimit
from stateless_billing.domain.finality import Heads
from stateless_billing.payers.accounts import Account, Accounts, ListedPayment
from stateless_billing.payers.responses import AccountResponse
from stateless_billing.runtime.clock import Clock

_TICK_SECONDS = 1
_HEAD_TICKS = 5  # how often the newest block is read, to notice a node that stands still
_MAX_HEAD_AGE_SECONDS = 6
_NODE_STATUS_SECONDS = 2
_DEPTH_TICKS = 2  # how often the depth of payments on their way is measured
_REREAD_SECONDS = 15  # how often an account with payments on their way is read again, in case the chain reorganized
_RETRY_SECONDS = 5
_DOUBT_SECONDS = 10
_WALLETS_PER_TICK = 4  # whose registration is read
_MAX_NEW_PAYMENTS = 256  # after an outage with more, all watched accounts are read
_MAX_CONCURRENT = 8
_SETTLED = ("credited", "reversed")
_HEAD_TAGS = ("finalized", "safe", "latest")

log = logging.getLogger(__name__)


class WatchedAccount:
    """One wallet's account, shared by its streams. `body` is the account as JSON; `moved` says that it has another
    customer now, which only a new connection looks up.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self.listed: list[ListedPayment] = []
        self.response: AccountResponse | None = None
        self.body = b""
        self.moved = False
        self.is_due = False
        self.read_at = 0.0
        self.retry_at = 0.0
        self.recheck_at = 0
        self.known: list[object] = []
        self.expected: dict[str, float] = {}  # payments seen on the chain, until when a list without them is doubted
        self.lock = asyncio.Lock()
        self.streams: set[asyncio.Event] = set()

    @property
    def unsettled(self) -> list[tuple[Payment, str]]:
        """The payments whose state may change, and the state shown."""
        shown = self.response.payments if self.response else []
        pairs = zip(self.listed, shown, strict=True)
        return [(entry.payment, payment.state) for entry, payment in pairs if payment.state not in _SETTLED]

    def wake(self) -> None:
        """Wake the account's streams."""
        for stream in self.streams:
            stream.set()

    def publish(self, response: AccountResponse) -> None:
        """Set the account's description, and wake its streams if it changed."""
        if response != self.response:
            self.response, self.body = response, msgspec.json.encode(response)
            self.wake()

    def follow_registration(self, customer_id: str | None) -> None:
        """Take note of the customer that the gateway has for the wallet."""
        if customer_id == self.account.registered_customer:
            return
        if self.account.customer and customer_id == self.account.customer.id:
            self.account = replace(self.account, registered=True)
            self.is_due = True
        elif not self.account.conflict:
            self.moved = True
            self.wake()


class AccountWatch:
    """Keeps the accounts of open streams current. `daily_limit` must not read Stripe."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        nodes: FailoverProvider,
        gateways: Sequence[Gateway],
        confirmations: Confirmations,
        daily_limit: DailyLimit,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._nodes = nodes
        self._gateways = gateways
        self._confirmations = confirmations
        self._daily_limit = daily_limit
        self._clock = clock
        self._watched: dict[str, WatchedAccount] = {}
        self._totals: list[int] | None = None
        self._ticks = 0
        self._is_failing = False
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def open(self, wallet: str, origin: str, stream: asyncio.Event) -> AsyncIterator[WatchedAccount]:
        """Watch a lower-case wallet's account; `stream` is set whenever it changed.

        Raises: ChainError, StripeFailure; ProblemError as `Accounts.find` does.
        """
        account = await self._accounts.recall(wallet, origin)
        watched = self._watched.get(wallet)
        if watched is None or watched.moved:
            watched = self._watched[wallet] = WatchedAccount(account)
        watched.streams.add(stream)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        try:
            if watched.response is None or self._is_failing:
                await self._reread(watched)
            yield watched
        finally:
            watched.streams.discard(stream)
            if not watched.streams and self._watched.get(wallet) is watched:
                del self._watched[wallet]
            if not self._watched and self._task is not None:
                self._task.cancel()
                self._task = self._totals = None

    async def _run(self) -> None:
        """Watch until the last stream ends. A failed round is repeated."""
        while True:
            try:
                await self._tick()
                self._note_failure(None)
            except ChainError as error:
                self._note_failure(error)
                await self._confirmations.refresh_nodes(_NODE_STATUS_SECONDS)
            except Exception:
                log.exception("watching accounts failed, retrying")
            await asyncio.sleep(_TICK_SECONDS)

    def _note_failure(self, error: Exception | None) -> None:
        if error is not None and not self._is_failing:
            log.warning("open accounts are not current: %s", error)
        self._is_failing = error is not None

    async def _tick(self) -> None:
        """Read what changed, and read or measure again the accounts that it concerns."""
        watched = list(self._watched.values())
        tip = await self._read_tip(watched)
        for wallet, customer_id in tip.customers.items():
            if wallet in self._watched:
                self._watched[wallet].follow_registration(customer_id)
        await self._find_new_payments(tip.totals)
        self._find_due(watched)
        due = [each for each in watched if each.is_due and self._clock.boot() >= each.retry_at]
        heads = await self._confirmations.heads() if any(each.account.customer for each in due) else None
        await self._gather(self._reread(each, heads) for each in due)
        if "finalized" in tip.blocks:
            heads = Heads(tip.blocks["latest"], tip.blocks["safe"], tip.blocks["finalized"])
            await self._gather(self._measure(each, heads) for each in watched if self._is_confirming(each))
        elif "latest" in tip.blocks and self._clock.wall() - tip.blocks["latest"].time > _MAX_HEAD_AGE_SECONDS:
            await self._confirmations.refresh_nodes(_NODE_STATUS_SECONDS)

    async def _read_tip(self, watched: Sequence[WatchedAccount]) -> Tip:
        self._ticks += 1
        tags: Sequence[str] = ()
        if self._ticks % _DEPTH_TICKS == 0 and any(map(self._is_confirming, watched)):
            tags = _HEAD_TAGS
        elif self._ticks % _HEAD_TICKS == 0:
            tags = ("latest",)
        start = self._ticks * _WALLETS_PER_TICK % max(1, len(watched))
        wallets = [each.account.wallet for each in [*watched[start:], *watched[:start]][:_WALLETS_PER_TICK]]
        return await read_tip(self._nodes, self._gateways, wallets, tags)

    async def _find_new_payments(self, totals: Sequence[int]) -> None:
        """Mark the accounts of new payments as due. Unreadable payments are looked for again in the next round."""
        before = self._totals
        if before is None or any(
            new < old or new - old > _MAX_NEW_PAYMENTS for new, old in zip(totals, before, strict=True)
        ):
            self._mark_due(self._watched.values())
            self._totals = list(totals)
            return
        for number, gateway in enumerate(self._gateways):
            if totals[number] == before[number]:
                continue
            is_readable = True
            async for window in gateway.payments(before[number], totals[number]):
                is_readable = is_readable and not window.unreadable
                self._mark_paid([payment for _, payment in window.payments], gateway)
            if is_readable and self._totals is before:
                before[number] = totals[number]

    def _mark_paid(self, payments: Sequence[Payment], gateway: Gateway) -> None:
        doubted_until = self._clock.boot() + _DOUBT_SECONDS
        wallets = {payment.wallet: payment.customer_id for payment in payments}
        for watched in list(self._watched.values()):
            wallet, customer = watched.account.wallet, watched.account.customer
            if wallet in wallets and gateway is self._gateways[0]:
                watched.follow_registration(wallets[wallet])
            if customer and (own := [payment.identity for payment in payments if payment.customer_id == customer.id]):
                watched.is_due = True
                watched.expected |= dict.fromkeys(own, doubted_until)

    @staticmethod
    def _mark_due(watched: Iterable[WatchedAccount]) -> None:
        for each in watched:
            each.is_due = True

    def _find_due(self, watched: Iterable[WatchedAccount]) -> None:
        """Mark accounts as due whose description changes by what this process knows, or by time."""
        for each in watched:
            account = self._accounts.latest(each.account)
            is_other = account.customer != each.account.customer
            is_old = self._clock.boot() - each.read_at >= _REREAD_SECONDS and bool(self._states_by_chain(each))
            is_over = bool(each.recheck_at) and self._clock.wall() >= each.recheck_at
            each.is_due = each.is_due or is_other or is_old or is_over or each.known != self._known(each)

    def _known(self, watched: WatchedAccount) -> list[object]:
        """What this process knows of the payments whose state may change; without waits, which change all the time."""
        statuses = [self._accounts.cached_status(payment) for payment, _ in watched.unsettled]
        return [status and (status.state, status.cause, status.cents, status.credit) for status in statuses]

    def _states_by_chain(self, watched: WatchedAccount) -> set[str]:
        """The states of payments of which this process knows nothing but what the chain tells."""
        return {state for payment, state in watched.unsettled if self._accounts.cached_status(payment) is None}

    def _is_confirming(self, watched: WatchedAccount) -> bool:
        return "confirming" in self._states_by_chain(watched)

    async def _reread(self, watched: WatchedAccount, heads: Heads | None = None) -> None:
        """Read an account again, by `heads` that were read before. Whatever it raises, the account stays due."""
        async with watched.lock:
            watched.is_due = False
            try:
                await self._read(watched, heads)
            except BaseException:
                watched.is_due, watched.retry_at = True, self._clock.boot() + _RETRY_SECONDS
                raise

    async def _read(self, watched: WatchedAccount, heads: Heads | None) -> None:
        account, payments, listed = self._accounts.latest(watched.account), [], []
        if account.customer:
            heads = heads or await self._confirmations.heads()
            listed = await self._accounts.list_payments(account.customer)
            payments = await self._accounts.show(listed, heads)
        response = await self._accounts.respond(account, payments, self._daily_limit)
        is_counting = not response.maximum_cents and response.maximum_resets_at is None
        watched.recheck_at = int(self._clock.wall()) + 1 if is_counting else response.maximum_resets_at or 0
        watched.read_at = self._clock.boot()
        watched.account, watched.listed = account, listed
        watched.publish(response)
        watched.known = self._known(watched)
        self._doubt_list(watched)

    def _doubt_list(self, watched: WatchedAccount) -> None:
        """Read the account again soon if its list lacks a payment: another node answered, which is a block behind."""
        listed = {entry.payment.identity for entry in watched.listed}
        doubts = {identity: until for identity, until in watched.expected.items() if until > self._clock.boot()}
        watched.expected = {identity: until for identity, until in doubts.items() if identity not in listed}
        watched.is_due = watched.is_due or bool(watched.expected)

    async def _measure(self, watched: WatchedAccount, heads: Heads) -> None:
        """Describe an account's payments again by newer heads. What a reorganization changed is read again later."""
        async with watched.lock:
            if watched.response:
                payments = await self._accounts.show(watched.listed, heads)
                watched.publish(msgspec.structs.replace(watched.response, payments=payments))
                watched.known = self._known(watched)

    async def _gather(self, work: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Run `work`, a few at a time. An account that cannot be read keeps none of the others waiting."""
        limit = asyncio.Semaphore(_MAX_CONCURRENT)

        async def run(reading: Coroutine[Any, Any, None]) -> None:
            async with limit:
                try:
                    await reading
                except ChainError as error:
                    log.info("an open account could not be read: %s", error)

        await asyncio.gather(*map(run, work))
