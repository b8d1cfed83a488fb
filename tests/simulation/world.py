"""The world of one seed: the loop, the chain, Stripe, the processes, and the events."""

import asyncio
import contextvars
import random

import httpx

from chain.payment import Payment
from stateless_billing.bookkeeping.records import RECORD_MARKER
from stateless_billing.domain import ledger
from stateless_billing.sandbox.account import Account
from stateless_billing.sandbox.answers import Answer
from stateless_billing.sandbox.api_keys import ApiKey
from stateless_billing.sandbox.paging import SameSecond
from stateless_billing.sandbox.records import Contact, Transaction
from stateless_billing.stripe import client
from tests.simulation.chain import START, Chain
from tests.simulation.configuration import OTHER_KEY, configured
from tests.simulation.ending import Ending
from tests.simulation.events import Events
from tests.simulation.faults import Coverage
from tests.simulation.grant_oracle import GrantOracle
from tests.simulation.loop import PROCESS, SeededLoop
from tests.simulation.mischief import TELLINGS, Mischief, Tellings
from tests.simulation.nodes import Node, NodesTransport
from tests.simulation.oracle import Oracle
from tests.simulation.order_oracle import OrderOracle
from tests.simulation.plan import CUSTOMERS, DAY, FORGED, GRANTS, HOUR, LAST, SERVICE, TARGETS, Plan
from tests.simulation.prices import Prices
from tests.simulation.replica import Replica
from tests.simulation.result import Result
from tests.simulation.stripe_watched import WatchedStripe
from tests.simulation.watching import judged_breaches


class World:
    """A world built from a plan; `run` executes it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._rngs: dict[str, random.Random] = {}
        self.loop = SeededLoop(self.rng("order"))
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, None)
        self.coverage, self.history = Coverage(), list[str]()
        self.calm = self.over = self.lies_again = False
        self.busy_until = 0.0
        self.stripe_back = 0.0
        self.chain = Chain(plan.ahead, plan.finality, plan.finality / 3)
        self.prices = Prices()
        self.oracle = Oracle(self)
        self.orders = OrderOracle(self, self.oracle)
        self.grants = GrantOracle(self, self.oracle)
        self.nodes = self._nodes()
        self.mischief = Mischief(
            self.rng("stripe faults"),
            self.chain,
            self.coverage,
            self.unix,
            names=plan.faults,
            reads=plan.reads,
            writes=plan.writes,
            poisoned=CUSTOMERS[0] if plan.poisoned else None,
            tellings=self._tellings(),
        )
        self.mischief.faulty, self.mischief.born = self.faulty, self._born
        self.stripe = self._stripe()
        self.account: Account = self.stripe.account
        self.mischief.insert_row = self._row_of_others
        self.settings = [configured(plan, version) for version in range(3)]
        self.replicas: list[Replica | None] = [None] * 5
        self.started: list[Replica] = []
        self.events = Events(self)

    def rng(self, purpose: str) -> random.Random:
        """A separate random stream per purpose, so that disabling one fault does not shift the others."""
        if purpose not in self._rngs:
            self._rngs[purpose] = random.Random(f"{self.plan.seed}/{purpose}")
        return self._rngs[purpose]

    def seconds(self) -> float:
        """Seconds since the start."""
        return self.loop.time()

    def unix(self) -> float:
        """The actual Unix time."""
        return START + self.loop.time()

    def faulty(self, name: str) -> bool:
        """Whether a fault may be injected now."""
        calm = self.calm and not (self.lies_again and name in TELLINGS)
        return not calm and name not in self.plan.off

    def note(self, who: str, what: str) -> None:
        """Add a line to the history."""
        self.history.append(f"{self.seconds():12.2f} {who:8} {what}")

    def _nodes(self) -> NodesTransport:
        plan = self.plan
        nodes = [Node(lag, behind, [], plan.node_errors, plan.omits) for lag, behind in plan.lags]
        transport = NodesTransport(self.chain, self.prices, nodes, self.rng("nodes"), self.coverage)
        transport.faulty, transport.price_faults = self.faulty, plan.price_faults
        return transport

    def _stripe(self) -> WatchedStripe:
        plan, rng = self.plan, self.rng("stripe")
        stripe = WatchedStripe(
            self.unix,
            rng,
            self._row,
            self._metadata,
            lambda seconds, call: self.loop.call_later(seconds + 1e-3, call, context=self.context),
            list_lag=plan.list_lag,
            longest_key_life=plan.key_life,
            save_refusals=plan.save_refusals,
        )
        stripe.same_second = SameSecond.OLDEST_FIRST if plan.oldest_first else SameSecond.NEWEST_FIRST
        stripe.faults = self.mischief
        stripe.keys.add(ApiKey(OTHER_KEY, "acct_another"))
        made = {SERVICE: {RECORD_MARKER: "service", "grants": GRANTS}, GRANTS: {RECORD_MARKER: "grants"}}
        targets = (*CUSTOMERS[plan.customers :], *TARGETS, LAST) if plan.admins else ()
        for name in (SERVICE, GRANTS, *CUSTOMERS[: plan.customers], FORGED, *targets):
            stripe.account.add_customer(
                START - 9e5, START - 900_000, Contact(metadata=made.get(name, {})), identifier=name
            )
        stripe.quietly()
        return stripe

    def _row(self, row: Transaction, late: bool) -> None:
        self.note("stripe", f"{'completes' if late else 'writes'} {row.id[-4:]} {-row.amount} cents for {row.customer}")
        kind = row.metadata.get("kind")
        reversed_credit = self.oracle.credit_of(row) if kind == "reversal" else None
        if kind == "payment":
            self.oracle.written(row, late=late)
        elif kind == "order":
            self.note("stripe", f"order {row.metadata['order']} by {row.metadata['operator']}")
            self.orders.written(row)
        elif reversed_credit:
            self.orders.taken_back(row, reversed_credit)
        elif kind:
            self.grants.written(row)

    def _born(self, key: str) -> int | None:
        """The Unix time from which the epochs of a key are counted, except for a payment's key."""
        kind, _, rest = key.partition(":")
        if kind == "order":
            return self.events.admins.minted(rest)
        rows = [credit.row for credit in self.oracle.credits] if kind == "reversal" else []
        created = next((row.created for row in rows if rest.startswith(row.id)), None)
        return created or self.grants.born(key)

    def _metadata(self, customer: str, before: dict[str, str], after: dict[str, str]) -> None:
        changed = {name: value for name, value in after.items() if before.get(name) != value}
        self.note("stripe", f"{customer} now {changed}")
        if customer == SERVICE:
            self.oracle.recorded(after)
        for name, value in changed.items():
            if name.startswith("gateway:"):
                self.oracle.moved(customer, name, value)

    def _row_of_others(self, path: str) -> None:
        customer = path.split("/")[3]
        if customer in CUSTOMERS:  # others do not write on the bookkeeping customers
            self.events.charge(customer, 100)

    def _tellings(self) -> Tellings:
        plan = self.plan
        return Tellings(
            rng=self.rng("tellings"),
            share=plan.lies,
            kinds=plan.lie_kinds,
            late=plan.record_late,
            record=SERVICE,
            at_zero=self._at_zero,
        )

    def _at_zero(self, path: str) -> bool:
        """Whether a ledger has a zero balance in a world whose listings lie at random."""
        customer = self.account.by_id.get(path.split("/")[3])
        return self.plan.lies_again and customer is not None and not customer.balances.get("usd")

    def refuses(self) -> bool:
        """Whether a new connection is refused."""
        if self.faulty("connect_refused") and self.rng("network").random() < self.plan.refused:
            self.coverage.hit("connect_refused")
            return True
        return self.stripe_away()

    def stripe_away(self) -> bool:
        """Whether Stripe cannot be reached."""
        return self.seconds() < self.stripe_back and self.faulty("stripe_down")

    def latency(self, request: httpx.Request) -> float:
        """The latency of a request, in seconds."""
        rng = self.rng("network")
        if self.plan.late and rng.random() < self.plan.late and self.faulty("arrives_late"):
            self.coverage.hit("arrives_late")
            return rng.uniform(1, 60)
        return 0.02 + rng.random() * 0.1

    def note_exchange(self, who: str, summary: str, request: httpx.Request, answer: Answer) -> None:
        """Add an exchange to the history. Stripe's answers to expected conflicts count as injected."""
        key = (
            request.headers.get("idempotency-key", "").rpartition(":")[2][:3]
            if "payment" in str(request.content)
            else ""
        )
        self.note(who, f"{summary[:70]} {key} -> {answer.status} {self.mischief.last}")
        if answer.status == 400 and b"same parameters" in answer.body:
            self.coverage.hit("other_parameters")

    def price_gap(self, time: int) -> bool:
        """Whether the price around a block may be missing."""
        return any(start - 3 * HOUR < time - START < stop + 3 * HOUR for start, stop in self.prices.outages)

    def replica(self, slot: int) -> Replica:
        """The process in a slot, started if none is alive."""
        slot %= self.plan.replicas
        replica = self.replicas[slot]
        if replica is None or replica.dead:
            number = len(self.started)
            version = number % 2 if self.plan.two_versions else 0
            skew = self.plan.skews[slot] if self.plan.skews and not self.calm else 0.0
            if skew:
                self.coverage.hit("clock_skew")
            if replica is not None and any(self.seconds() - at > DAY for at in self.events.paid):
                self.coverage.hit("key_pruned")
            replica = self.replicas[slot] = Replica(self, f"p{slot}.{number}", version, skew)
            self.started.append(replica)
            replica.spawn(replica.boot())
        return replica

    def wrong_start(self) -> None:
        """Start a process with a key of another account: it must refuse to run."""
        wrong = Replica(self, "p9.wrong", 2, 0.0)
        self.started.append(wrong)
        wrong.spawn(wrong.boot())
        wrong.spawn(wrong.sweep())

    async def _play(self) -> None:
        for event in self.plan.events:
            if event.at > self.seconds():
                await asyncio.sleep(event.at - self.seconds())
            self.events.happen(event)
        await self._idle()
        await Ending(self).play()

    async def _idle(self) -> None:
        """Wait until no process sleeps; one may fall asleep meanwhile."""
        await asyncio.sleep(max(self.busy_until - self.seconds(), 0) + 2 * HOUR)
        if self.busy_until > self.seconds():
            await self._idle()

    def run(self) -> Result:
        """Run the plan to its end."""
        page_size, original = client.PAGE_SIZE, ledger.credit_description
        client.PAGE_SIZE = self.plan.page

        def describe(payment: Payment) -> str:
            process = PROCESS.get()
            return original(payment) + (" v2" if isinstance(process, Replica) and process.version else "")

        ledger.credit_description = describe
        random.seed(f"{self.plan.seed}/jitter")
        try:
            main = self.loop.start(self._play(), self.context)
            self.loop.run_until_complete(main)
            days, steps = self.seconds() / DAY, self.loop.steps
        finally:
            self.over = self.nodes.over = True
            client.PAGE_SIZE, ledger.credit_description = page_size, original
            for replica in self.started:
                replica.disarm()
                self.loop.wake(replica)
            self.loop.finish()
            for replica in self.started:
                for work in replica.begun:
                    work.close()
        return self._result(days, steps)

    def _result(self, days: float, steps: int) -> Result:
        oracle = self.oracle
        self.coverage.hit_all(self.account.lies)
        return Result(
            self.plan.seed,
            self.plan.theme,
            len(self.chain.now.payments),
            steps,
            days,
            self.coverage.counts,
            judged_breaches(self.started, self.coverage, oracle.wrong),
            oracle.twice,
            oracle.never,
            oracle.wrongs,
            oracle.holes,
            oracle.orphans,
            tuple(oracle.findings),
            tuple(self.history),
        )
