"""Applies the events of a plan to the world."""

from typing import TYPE_CHECKING

from chain.payment import Payment
from stateless_billing.sandbox.account import Entry
from stateless_billing.sandbox.records import Customer
from tests.simulation import admins, busy, causes, outages
from tests.simulation.chain import CHAIN_ID, START, Call, Transaction
from tests.simulation.faults import FAULTS
from tests.simulation.moderators import KINDS, Moderators
from tests.simulation.plan import CUSTOMERS, DAY, FORGED, GATEWAYS, SERVICE, Event

if TYPE_CHECKING:
    from tests.simulation.world import World

WALLET, PAYER = "0x" + "11" * 20, "0x" + "22" * 20
NOTHING, FALSE = "0x" + "0d" * 32, "0x" + "ab" * 32


class Events:
    """Dispatches events by kind. `paid` holds the times of the payments, `hashes` their EVM transactions."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.moderators = Moderators(world)
        self.admins, self.causes = admins.Admins(world), causes.Causes(world)
        self.busy, self.outages = busy.Sweeping(world), outages.Outages(world)
        self.paid: list[float] = []
        self.hashes: list[str] = []
        self.calls: list[tuple[Call, ...]] = []
        self._visits: tuple[float, str] = (-1.0, "")

    def happen(self, event: Event) -> None:
        """Let one event happen now."""
        if event.kind in KINDS:
            self.moderators.happen(event)
        elif event.kind in admins.KINDS:
            self.admins.happen(event)
        elif event.kind in causes.KINDS:
            self.causes.happen(event)
        elif event.kind in (*busy.KINDS, *outages.KINDS):
            (self.busy if event.kind in busy.KINDS else self.outages).happen(event)
        else:
            getattr(self, f"_{event.kind}")(*event.args)

    def _hit(self, name: str) -> bool:
        """Whether a fault may be injected; counts it if so."""
        assert name in FAULTS
        if self.world.faulty(name):
            self.world.coverage.hit(name)
            return True
        return False

    # payers

    def _pay(self, number: int, calls: tuple[tuple[int, int, int, int], ...]) -> None:
        world = self.world
        now, chain = world.seconds(), world.chain
        made: list[Call] = []
        for gateway, customer, tokens, cents in calls:
            address, name = GATEWAYS[gateway], CUSTOMERS[customer]
            sequence = chain.count(chain.now, address, name) + sum(
                (call.gateway, call.customer) == (address, name) for call in made
            )
            deadline = START + int(now) + chain.ahead + 300
            made.append(Call(address, name, WALLET, PAYER, tokens * 10**18, cents, sequence, deadline))
        self._submit(f"0xdd{number:062x}", tuple(made))
        for name, hit in (
            ("several_logs", len(calls) > 1),
            ("second_gateway", any(gateway for gateway, *_ in calls)),
            ("over_limit", world.plan.theme == "limits"),
            ("block_ahead", chain.ahead > 0),
        ):
            if hit:
                world.coverage.hit(name)

    def _submit(self, hash_: str, calls: tuple[Call, ...]) -> None:
        world = self.world
        done = world.chain.submit(Transaction(hash_, calls), world.seconds())
        self.paid.append(world.seconds())
        self.hashes.append(hash_)
        self.calls.append(calls)
        summary = [(call.customer, call.sequence, call.cents or "plain", call.amount // 10**18) for call in calls]
        world.note("payer", f"{hash_[:4]}..{hash_[-4:]} {'pays' if done else 'fails'} {summary}")
        if not done:
            world.coverage.hit("reverted")

    def _pay_again(self, number: int) -> None:
        """Repeat the same calls in another EVM transaction, like a second click."""
        if self.calls:
            self._submit(f"0xde{number:062x}", self.calls[number % len(self.calls)])

    # visits

    def _sweep(self, slot: int, number: int) -> None:
        self._visit("sweep")
        replica = self.world.replica(slot)
        replica.spawn(replica.sweep())

    def _claim(self, slot: int, number: int) -> None:
        self._visit("claim")
        if self.hashes:
            replica = self.world.replica(slot)
            replica.spawn(replica.claim(self.hashes[number % len(self.hashes)]))

    def _visit(self, kind: str) -> None:
        if self._visits == (self.world.seconds(), kind):
            self.world.coverage.hit("same_moment")
        self._visits = self.world.seconds(), kind

    def _observe(self, slot: int, number: int) -> None:
        if self.hashes:
            replica = self.world.replica(slot)
            replica.spawn(replica.claim(self.hashes[number % len(self.hashes)], credit=False))

    def _claim_nothing(self, slot: int, number: int) -> None:
        self.world.coverage.hit("unknown_hash")
        replica = self.world.replica(slot)
        replica.spawn(replica.claim(NOTHING))

    def _sweeping(self, slot: int) -> None:
        replica = self.world.replica(slot)
        replica.spawn(replica.forever())

    # processes

    def _harm(
        self, slot: int, where: tuple[str, int, int] | int, what: str, seconds: float, missed: tuple[bool, bool]
    ) -> None:
        replica = self.world.replica(slot)
        if not self.world.faulty({"sleep": "suspended", "kill": "killed", "cancel": "cancelled"}[what]):
            return

        def blow() -> None:
            if what == "sleep":
                replica.suspend(seconds, missed)
            elif what == "kill":
                self.world.coverage.hit("killed")
                replica.kill()
            else:
                self.world.coverage.hit("cancelled")
                replica.cancel()

        replica.blow = blow
        if isinstance(where, int):
            replica.fuse = where
        else:
            replica.trap = where

    def _restart(self, slot: int) -> None:
        slot %= self.world.plan.replicas
        replica = self.world.replicas[slot]
        if replica is not None and not replica.asleep and self._hit("killed"):
            replica.kill()
        if self.world.plan.two_versions:
            self.world.coverage.hit("two_versions")

    def _clock_jump(self, slot: int, seconds: float) -> None:
        if self._hit("clock_jump"):
            self.world.replica(slot).clock.skew += seconds

    def _wrong_account(self) -> None:
        self.world.wrong_start()

    # other systems and humans

    def charge(self, customer: str, amount: int, description: str = "Usage") -> None:
        """Write a row of another system; `amount` has Stripe's sign."""
        world = self.world
        target = world.account.by_id[customer]
        if target.deleted:
            return
        entry = Entry(amount, target.currency or "usd", description)
        world.account.add_transaction(target, entry, world.unix(), int(world.unix()))
        world.stripe.quietly()
        if len(target.rows) > world.plan.page:
            world.coverage.hit("many_rows")

    def _charge(self, customer: int, amount: int) -> None:
        if self._hit("charges"):
            for _ in range(3 if self.world.plan.theme == "paging" else 1):
                self.charge(CUSTOMERS[customer], amount, "Top-up via pi_3Q" if amount < 0 else "Usage")

    def _same_cents(self, customer: int, number: int) -> None:
        payments = self.world.chain.now.payments
        paid = [payment for payment in payments if payment.customer_id == CUSTOMERS[customer] and payment.quoted]
        if paid and self._hit("same_cents"):
            self.charge(CUSTOMERS[customer], -paid[number % len(paid)].cents, "Goodwill")

    def _customer(self, customer: int) -> Customer:
        return self.world.account.by_id[CUSTOMERS[customer]]

    def _strip(self, customer: int, number: int) -> None:
        ours = [row for row in self._customer(customer).rows if row.metadata.get("kind") == "payment"]
        if ours and self._hit("stripped"):
            ours[number % len(ours)].metadata = {}
            self.world.note("human", f"strips {ours[number % len(ours)].id[-4:]}")

    def _opposite(self, customer: int, number: int) -> None:
        ours = [row for row in self._customer(customer).rows if row.metadata.get("kind") == "payment"]
        if ours and self._hit("opposite_entry"):
            self.charge(CUSTOMERS[customer], -ours[number % len(ours)].amount, "taken back")

    def _set(self, customer: str, **values: str) -> None:
        target = self.world.account.by_id[customer]
        target.set_metadata(self.world.unix(), {**target.contact.metadata, **values})
        self.world.stripe.quietly()
        self.world.note("human", f"{customer} now {values}"[:120])

    def _cursor_back(self, customer: int, number: int) -> None:
        """Restore an older cursor, as a slower process would write it."""
        metadata = self._customer(customer).contact.metadata
        for name, value in metadata.items():
            ours = name.startswith("gateway:") and int(value.partition(":")[0]) > 1 and value[-4:] != FALSE[-4:]
            if ours and self._hit("cursor_back"):
                payments = [paid for paid in self.world.chain.now.payments if paid.gateway[2:10] == name[-8:]]
                first = next(paid for paid in payments if paid.customer_id == CUSTOMERS[customer])
                self._set(CUSTOMERS[customer], **{name: f"1:{first.tx_hash}"})

    def _cursor_forward(self, customer: int, number: int) -> None:
        if self._hit("cursor_forward"):
            name = f"gateway:{CHAIN_ID}:{GATEWAYS[0][2:10]}"
            self._set(CUSTOMERS[customer], **{name: f"{number + 1}:{FALSE}"})

    def _delete(self, customer: int, number: int) -> None:
        if self._hit("deleted"):
            self._customer(customer).deleted = True

    def _currency(self, customer: int, number: int) -> None:
        if self._hit("currency"):
            self._customer(customer).currency = "eur"

    def _full(self, customer: int, number: int) -> None:
        if self._hit("metadata_full"):
            self._set(CUSTOMERS[customer], **{f"note{number}": "x" for number in range(50)})

    def _lost(self, customer: int, number: int) -> None:
        """Remove the sweep's record."""
        if self._hit("record_lost"):
            record = self.world.account.by_id[SERVICE]
            metadata = {name: value for name, value in record.contact.metadata.items() if ":" not in name}
            record.set_metadata(self.world.unix(), metadata)
            self.world.stripe.quietly()

    # outages and the chain

    def _stripe_down(self, length: float) -> None:
        if self._hit("stripe_down"):
            self.world.stripe_back = self.world.seconds() + length

    def _nodes_down(self, length: float) -> None:
        if self._hit("nodes_down"):
            self.world.nodes.down_until = self.world.seconds() + length

    def _price_gap(self, length: float) -> None:
        if self._hit("price_gap"):
            start = self.world.seconds() - 1800
            self.world.prices.outages.append((start, start + length))

    def _stall(self, head: str, length: float) -> None:
        if self._hit("finality_stalls" if head == "finalized" else "chain_stalls"):
            stop = self.world.seconds() + length
            self.world.chain.stall(head, stop - length, stop)
            self.world.busy_until = max(self.world.busy_until, stop)

    def _reorg(self, depth: int, fates: tuple[str, ...]) -> None:
        world = self.world
        allowed = tuple(fate for fate in fates if fate == "kept" or world.faulty(f"reorg_{fate}"))
        for fate in world.chain.reorganize(world.seconds(), depth, allowed or ("kept",)):
            if fate != "kept":
                world.coverage.hit(f"reorg_{fate}")
            world.note("chain", f"reorg: {fate}")
        known = world.chain.now.blocks
        self.hashes = list(dict.fromkeys([*self.hashes, *known]))

    def _forge(self, node: int, kind: int, back: float = 0.0) -> None:
        """Make one node report a forged payment `back` seconds ago: plain, or quoted above the first tier."""
        world = self.world
        number = world.chain.latest(world.seconds() - back)
        forged = Payment(
            chain_id=CHAIN_ID,
            gateway=GATEWAYS[0],
            tx_hash="0x" + "fa" * 32,
            ordinal=0,
            customer_id=FORGED,
            wallet=WALLET,
            payer=PAYER,
            sequence=0,
            amount=9_000 * 10**18,
            cents=0 if kind == 0 else 50_000,
            block=number,
            block_hash="",
            time=world.chain.time_of(number),
            log_index=900,
        )
        world.nodes.nodes[node % world.plan.nodes].forged.append(forged)
        self.hashes.append(forged.tx_hash)
        world.busy_until = max(world.busy_until, world.seconds() + DAY)
