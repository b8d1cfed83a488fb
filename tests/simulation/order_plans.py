"""Plans with admins, drawn from a separate random stream so that all other seeds stay the same."""

import random
from dataclasses import replace

from tests.simulation.draws import sleep, step
from tests.simulation.mischief import ANY, LISTS, TELLINGS, WRITES
from tests.simulation.order_scenes import SCENES
from tests.simulation.plan import EPOCH, HOUR, Event, Plan
from tests.simulation.proof_scenes import PROOF_SCENES

SHARE = 0.43  # of all seeds have admins
DIRECTED = 0.5  # of these are directed
ADMINS = "admins"
_AGAIN = 2400.0
_PEOPLE = 6
ABOUT_ORDERS = SCENES | PROOF_SCENES
_VERBS = ("redirect", "redirect", "redirect@fair", "release", "release@dear", "withdraw", "acknowledge")
_FAULTS = (*ANY, *WRITES[:3], WRITES[4], *LISTS)


def with_admins(seed: int, plan: Plan, events: list[Event]) -> tuple[Plan, list[Event]]:
    """Return the plan unchanged, or one with admins."""
    rng = random.Random(f"{seed}/proofs")
    if rng.random() < 1 - SHARE:
        return plan, events
    if rng.random() < DIRECTED:
        name = rng.choice(list(ABOUT_ORDERS))
        return ABOUT_ORDERS[name](rng, replace(plan, theme=name, poisoned=False))
    return Mixed(rng, plan).drawn()


class Mixed:
    """Payments of several customers, causes that come and go, and admins who write orders for them."""

    def __init__(self, rng: random.Random, plan: Plan) -> None:
        self.rng = rng
        self.plan = self._world(plan)
        self.events: list[Event] = []
        self.form = 0

    def drawn(self) -> tuple[Plan, list[Event]]:
        """The plan and its events."""
        rng = self.rng
        self._ledgers()
        times = self._payments()
        for at in times:
            self._causes(at)
            self._visits(at, times)
        for _ in range(rng.choice((1, 2, 3, 3, 5))):
            self._orders(rng.randrange(len(times)), times)
        if rng.random() < 0.25:
            self._reversals(times)
        self._harms()
        if rng.random() < 0.03:
            self.events.append(Event(rng.choice(times) + rng.uniform(0, 30 * HOUR), "record_anew", ()))
        return self.plan, self.events

    def _world(self, plan: Plan) -> Plan:
        rng = self.rng
        faults = tuple(rng.sample(_FAULTS, rng.randrange(1, 5))) if rng.random() < 0.5 else ()
        return replace(
            plan,
            theme=ADMINS,
            admins=True,
            faults=faults,
            reads=rng.choice((0.02, 0.1)),
            writes=rng.choice((0.1, 0.4)),
            replicas=rng.choice((2, 3, 4)),
            customers=rng.choice((1, 2, 3)),
            list_lag=rng.choice((0, 0, 0, 60, 1500)),
            page=rng.choice((2, 3, 100, 100)),
            order_cap=rng.choice((100_000, 100_000, 8_000, 3_000)),
            lies=rng.choice((0.0, 0.06, 0.06, 0.15)),
            lie_kinds=TELLINGS,
            lies_again=True,
            record_late=rng.choice((0.0, 0.1)),
            oldest_first=rng.random() < 0.5,
            node_errors=0.0,
            omits=0.0,
            price_faults=0.0,
            nodes=1,
            lags=((0.0, 0.0),),
            poisoned=False,
            caps=None,
        )

    def _ledgers(self) -> None:
        rng = self.rng
        for customer in range(_PEOPLE):
            if rng.random() < 0.5:
                kind = rng.choice(("old", "young", "initial"))
                args = (customer, kind, rng.choice((1, 2, 6, 11)), rng.choice((1, 1, 300)))
                self.events.append(Event(rng.uniform(1, 50), "ledger", args))

    def _payments(self) -> list[float]:
        rng = self.rng
        first = rng.uniform(60, 2 * HOUR)
        times = [first]
        more = rng.choice((0, 0, 1, 2))
        times += [first + rng.choice((0.1, rng.uniform(0, 60), rng.uniform(0, 5 * HOUR))) for _ in range(more)]
        for number, at in enumerate(sorted(times)):
            calls = rng.choice((2, 3)) if rng.random() < 0.1 else 1
            made = tuple(self._call() for _ in range(calls))
            self.events.append(Event(at, "pay", (number, made)))
        return sorted(times)

    def _call(self) -> tuple[int, int, int, int]:
        rng = self.rng
        tokens = rng.choice((9_000, 9_000, 9_000, 20_000))
        cents = 0 if rng.random() < 0.25 else tokens * 6 // 10
        return rng.randrange(self.plan.gateways), rng.randrange(self.plan.customers), tokens, cents

    def _moment(self, at: float) -> float:
        """A time after a payment: around finality, within its first epochs, or near an epoch boundary."""
        rng = self.rng
        near = rng.choice((1, 1, 2)) * EPOCH
        return at + rng.choice(
            (
                rng.uniform(0, 2000),
                self.plan.finality + rng.uniform(0, HOUR),
                rng.uniform(0, 2 * EPOCH),
                near - rng.uniform(60, 3 * HOUR),
                near + rng.uniform(-900, 2400),
                near + rng.uniform(1800, 6 * HOUR),
            )
        )

    def _causes(self, at: float) -> None:
        """Causes that start before or after a payment and end, mostly minutes before the end of an epoch."""
        rng, customers = self.rng, self.plan.customers
        for _ in range(rng.choice((0, 1, 1, 2))):
            person = rng.randrange(customers) if rng.random() < 0.8 else rng.randrange(_PEOPLE)
            begins = max(51.0, at + rng.choice((-rng.uniform(1, 50), rng.uniform(0, 2000), rng.uniform(0, EPOCH))))
            ends = at + rng.choice((1, 1, 2)) * EPOCH - rng.uniform(60, 2 * HOUR)
            if rng.random() < 0.4:
                ends = begins + rng.uniform(60, EPOCH)
            kind = rng.choice(("bill", "bill", "mark", "remove", "same_cents", "test_clock"))
            value = {"bill": ("eur", "usd"), "mark": ("off", "")}.get(kind)
            if value:
                self.events += [Event(begins, kind, (person, value[0])), Event(ends, kind, (person, value[1]))]
            elif kind == "same_cents":
                owner = person % customers
                self.events += [Event(begins, kind, (owner, rng.randrange(3))), Event(ends, "label", (owner,))]
            elif kind == "remove" or rng.random() < 0.3:
                self.events.append(Event(rng.choice((begins, ends)), kind, (person,)))
        for _ in range(rng.choice((0, 0, 1, 3))):
            person, cents = rng.randrange(_PEOPLE), rng.choice((1, 1, 300))
            self.events.append(Event(self._moment(at), "cents", (person, rng.choice((1, 2, 5, 12)), cents)))

    def _visits(self, at: float, times: list[float]) -> None:
        rng = self.rng
        for _ in range(rng.choice((2, 3, 5))):
            slot, number = rng.randrange(self.plan.replicas), rng.randrange(len(times))
            kind, when = rng.choice(("sweep", "claim", "claim")), self._moment(at)
            if rng.random() < 0.3:
                self.events.append(Event(when - 1, "restart", (slot,)))
            self.events.append(Event(when, kind, (slot, number)))
            if rng.random() < 0.5:
                self.events.append(Event(when + _AGAIN, kind, (slot, number)))

    def _orders(self, number: int, times: list[float]) -> None:
        """One order or several racing ones, repeated elsewhere and confirmed."""
        rng, plan = self.rng, self.plan
        when = self._moment(times[number])
        for _ in range(rng.choice((1, 1, 2, 3))):
            what = rng.choice(_VERBS)
            soon = rng.choice((0.0, 0.0, rng.uniform(0, 2), rng.uniform(0, 600), rng.uniform(0, EPOCH)))
            at, slot, admin = when + soon, rng.randrange(plan.replicas), rng.randrange(3)
            acks = what == "acknowledge" or rng.random() < 0.5
            how = rng.choice(("desk", "desk", "page", "direct", "held"))
            self.form += 1
            self.events.append(
                Event(at, "order", (self.form, slot, number, admin, what, rng.randrange(_PEOPLE), acks, how))
            )
            if rng.random() < 0.3:
                after = rng.choice((rng.uniform(0, 2), rng.uniform(0, 600), rng.uniform(0, 22 * HOUR)))
                self.events.append(Event(at + after, "order_again", (self.form, rng.randrange(plan.replicas))))
            if rng.random() < (0.6 if plan.order_cap < 100_000 else 0.1):
                after, who = rng.uniform(1, HOUR), admin if rng.random() < 0.3 else rng.randrange(3)
                self.events.append(Event(at + after, "confirm", (rng.randrange(plan.replicas), number, who)))
            if rng.random() < 0.3:
                self.events.append(Event(at + _AGAIN, "claim", (slot, number)))

    def _reversals(self, times: list[float]) -> None:
        rng, credit = self.rng, self.rng.randrange(3)
        when = self._moment(rng.choice(times))
        for _ in range(rng.choice((1, 2, 3))):
            after = rng.choice((0.0, rng.uniform(0, 60), rng.uniform(0, 2 * EPOCH)))
            self.events.append(Event(when + after, "reverse", (rng.randrange(self.plan.replicas), credit)))

    def _harms(self) -> None:
        rng, plan = self.rng, self.plan
        for visit in [event for event in self.events if event.kind in ("sweep", "claim", "order")]:
            if rng.random() >= 0.12:
                continue
            slot = visit.args[1] if visit.kind == "order" else visit.args[0]
            what = rng.choices(("sleep", "kill", "cancel"), (2, 3, 1))[0]
            self.events.append(Event(visit.at - 0.001, "harm", (slot, step(rng), what, *sleep(rng, plan))))
