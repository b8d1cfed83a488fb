"""Draws a plan from a seed."""

import random
from dataclasses import replace

from tests.simulation.busy import with_busy
from tests.simulation.directed import DIRECTED
from tests.simulation.draws import sleep, step
from tests.simulation.grant_plans import with_moderators
from tests.simulation.limit_scenes import with_limits
from tests.simulation.mischief import ANY, LISTS, WRITES
from tests.simulation.order_plans import with_admins
from tests.simulation.outages import with_outage
from tests.simulation.plan import DAY, EPOCH, HOUR, Event, Plan

THEMES = {
    "mixed": 6,
    "border": 3,
    "asleep": 3,
    "reorg": 3,
    "limits": 2,
    "restarts": 3,
    "versions": 2,
    "humans": 2,
    "liar": 1,
    "paging": 2,
} | dict.fromkeys(DIRECTED, 1)
"""What a seed may be about, and how often; the last ones are directed at one moment."""


class Planner:
    """Draws a plan from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.events: list[Event] = []

    def plan(self) -> Plan:
        """Draw the plan and its events."""
        rng = self.rng
        theme = rng.choices(list(THEMES), list(THEMES.values()))[0]
        plan = self._world(theme)
        if theme in DIRECTED:
            plan, self.events = DIRECTED[theme](rng, plan)
        else:
            payments = self._payments(plan)
            self._visits(plan, payments)
            self._harms(plan, payments)
            self._others(plan, payments)
            if theme in ("reorg", "mixed", "humans"):
                self._chain_events(plan, payments)
        plan, self.events = with_moderators(self.seed, plan, self.events)
        plan, self.events = with_admins(self.seed, plan, self.events)
        plan, self.events = with_busy(self.seed, plan, self.events)
        plan, self.events = with_outage(self.seed, plan, self.events)
        plan, self.events = with_limits(self.seed, plan, self.events)
        events = sorted((event for event in self.events if event.at >= 0), key=lambda event: event.at)
        return replace(plan, events=tuple(events))

    def _world(self, theme: str) -> Plan:
        rng = self.rng
        nodes = 3 if theme == "liar" else rng.choice((1, 1, 1, 2, 3))
        unused = rng.random() < 0.25
        names = [*ANY, *WRITES[:3], WRITES[4], *LISTS]
        chosen = rng.sample(names, rng.randrange(1, 7)) + (["completed_next_epoch"] if self.seed % 17 == 16 else [])
        return Plan(
            self.seed,
            theme,
            replicas=rng.choice((2, 3, 4, 5)) if theme in ("border", "asleep") else rng.choice((1, 2, 2, 3, 5)),
            gateways=1 if theme == "humans" else rng.choice((1, 1, 2)),
            customers=1 if theme == "humans" else rng.choice((1, 1, 2, 3)),
            nodes=nodes,
            ahead=rng.choice((0, 0, 0, 20, 90, 110)),
            finality=rng.uniform(900, 1500),
            list_lag=rng.choice((0, 0, 60, 600, 1500)),
            key_life=rng.choice((24.0, 26.0, 30.0, 44.0, 900.0)) * HOUR,
            idle_timeout=rng.choice((5.0, 75.0, 75.0, 600.0, 4 * HOUR, 1e12)),
            page=rng.choice((2, 3)) if theme == "paging" else rng.choice((3, 100, 100)),
            faults=(*LISTS, *chosen[:2]) if theme == "paging" else () if unused else tuple(chosen),
            reads=0.3 if theme == "paging" else rng.choice((0.02, 0.1, 0.3)),
            writes=rng.choice((0.1, 0.4, 0.8)),
            refused=rng.choice((0.0, 0.0, 0.1)),
            late=rng.choice((0.0, 0.1, 0.4)),
            node_errors=rng.choice((0.0, 0.0, 0.02, 0.1)),
            omits=rng.choice((0.0, 0.0, 0.1)),
            price_faults=rng.choice((0.0, 0.0, 0.5)),
            lags=tuple((rng.choice((0.0, 2.0, 60.0)), rng.choice((0.0, 300.0))) for _ in range(nodes)),
            skews=tuple(rng.uniform(-600, 600) if rng.random() < 0.08 else 0.0 for _ in range(5)),
            lying=theme == "liar",
            poisoned=rng.random() < 0.03,
            two_versions=theme == "versions" or rng.random() < 0.05,
            whole_start=rng.random() < 0.05,
            save_refusals=rng.random() < 0.5,
        )

    def _payments(self, plan: Plan) -> list[float]:
        """Draw payments and return their times."""
        rng = self.rng
        first = rng.uniform(60, 2 * HOUR)
        count = rng.choice((3, 4)) if plan.theme in ("limits", "reorg", "humans") else rng.choice((1, 1, 1, 2, 2, 3))
        times = [first]
        while len(times) < count:
            times.append(first + rng.choice((0.1, rng.uniform(0, 60), rng.uniform(0, 1500), rng.uniform(0, DAY))))
        for number, at in enumerate(sorted(times)):
            calls = rng.choice((2, 3)) if rng.random() < 0.15 else 1
            made = tuple(self._call(plan) for _ in range(calls))
            self.events.append(Event(at, "pay", (number, made)))
            if rng.random() < 0.08:
                self.events.append(Event(at + rng.uniform(0.1, 30), "pay_again", (number,)))
        return sorted(times)

    def _call(self, plan: Plan) -> tuple[int, int, int, int]:
        """Gateway, customer, whole tokens, cents (0: plain)."""
        rng = self.rng
        gateway, customer = rng.randrange(plan.gateways), rng.randrange(plan.customers)
        tokens = rng.choice((9_000, 9_000, 9_000, 20_000, rng.randrange(1, 60_000)))
        if plan.theme == "limits":
            tokens = rng.choice((300_000, 500_000, 800_000))
        if rng.random() < (0.35 if plan.theme != "asleep" else 0.2):
            return gateway, customer, 1 if rng.random() < 0.05 else tokens, 0
        return gateway, customer, tokens, max(1, tokens * 6 // 10)

    def _visits(self, plan: Plan, payments: list[float]) -> None:
        """Claims and sweeps soon after a payment, at finality, around epoch boundaries and after keys expired."""
        rng = self.rng
        calm_start = plan.theme in ("border", "asleep") and rng.random() < 0.7
        for number, at in enumerate(payments):
            times = [] if calm_start else [rng.uniform(1, 100), rng.uniform(500, 700)]
            if not calm_start:
                times.append(plan.finality + plan.ahead + rng.uniform(0, 900))
            for border in (1, 2):
                if rng.random() < (0.9 if plan.theme in ("border", "asleep") else 0.3):
                    times += [border * EPOCH + rng.uniform(-2900, 2900) for _ in range(rng.choice((1, 2, 3)))]
            times += [DAY * rng.choice((1.0, 1.25, 1.9)) + rng.uniform(0, 4000)] if rng.random() < 0.5 else []
            for time in times:
                self._visit(plan, number, at + time)
        if rng.random() < 0.1:
            self.events.append(Event(payments[0], "sweeping", (rng.randrange(plan.replicas),)))

    def _visit(self, plan: Plan, number: int, at: float) -> None:
        rng = self.rng
        slot = rng.randrange(plan.replicas)
        kind = rng.choice(("sweep", "sweep", "claim"))
        if rng.random() < 0.12:
            self.events += [Event(at, kind, (replica, number)) for replica in range(plan.replicas)]
        else:
            self.events.append(Event(at, kind, (slot, number)))
        if rng.random() < 0.05:
            self.events.append(Event(at + 1, rng.choice(("observe", "claim_nothing")), (slot, number)))

    def _harms(self, plan: Plan, payments: list[float]) -> None:
        """Sleep and death, armed right before a visit so that they hit one of its steps."""
        rng = self.rng
        visits = [event for event in self.events if event.kind in ("sweep", "claim")]
        often = {"asleep": 0.6, "border": 0.4, "restarts": 0.3}.get(plan.theme, 0.12)
        for visit in visits:
            if rng.random() >= often:
                continue
            where = step(rng)
            what = rng.choices(("sleep", "kill", "cancel"), (6, 2, 1) if plan.theme == "asleep" else (2, 3, 1))[0]
            self.events.append(Event(visit.at - 0.001, "harm", (visit.args[0], where, what, *sleep(rng, plan))))
            if what == "sleep" and plan.replicas > 1:
                other = (visit.args[0] + 1) % plan.replicas
                after = rng.choice((rng.uniform(5, 200), rng.uniform(60, 2000)))
                self.events.append(Event(visit.at + after, rng.choice(("sweep", "claim")), (other, visit.args[1])))
            elif rng.random() < 0.9:
                self.events.append(Event(visit.at + rng.uniform(5, 4000), "restart", (visit.args[0],)))
        for _ in range(rng.choice((1, 2, 3)) if plan.theme == "restarts" else rng.choice((0, 0, 1))):
            self.events.append(Event(rng.choice(payments) + rng.uniform(0, 3 * DAY), "restart", (rng.randrange(5),)))

    def _others(self, plan: Plan, payments: list[float]) -> None:
        """Other systems, humans and outages."""
        rng = self.rng
        busy = rng.choice((4, 8)) if plan.theme == "paging" else rng.choice((0, 0, 1, 3))
        for _ in range(busy):
            at = rng.choice(payments) + rng.choice((rng.uniform(-100, 2000), rng.uniform(0, DAY)))
            self.events.append(Event(at, "charge", (rng.randrange(plan.customers), rng.choice((-2_000, 300, 5_400)))))
        kinds = (
            "strip",
            "opposite",
            "cursor_back",
            "cursor_forward",
            "delete",
            "currency",
            "full",
            "same_cents",
            "lost",
        )
        for _ in range(rng.choice((1, 2, 3)) if plan.theme == "humans" else rng.choice((0, 0, 0, 1))):
            at = rng.choice(payments) + rng.choice((rng.uniform(10, 3000), rng.uniform(0, 2 * DAY)))
            self.events.append(Event(at, rng.choice(kinds), (rng.randrange(plan.customers), rng.randrange(4))))
        if plan.theme == "humans":
            customer, late = rng.randrange(plan.customers), max(payments) + rng.uniform(1, 2) * DAY
            for kind, after in (("sweep", -600.0), ("cursor_back", 0.0), ("restart", 60.0), ("sweep", 90.0)):
                args = (customer, 0) if kind == "cursor_back" else (0,) if kind == "restart" else (0, 0)
                self.events.append(Event(late + after, kind, args))
        if rng.random() < 0.15:
            kind = rng.choice(("stripe_down", "nodes_down", "price_gap"))
            length = rng.choice((600.0, 2 * HOUR, 7 * HOUR, 22.6 * HOUR))
            self.events.append(Event(rng.choice(payments) - rng.uniform(0, 60), kind, (length,)))
        if rng.random() < 0.06:
            self.events.append(Event(rng.choice(payments), "clock_jump", (rng.randrange(5), rng.uniform(-900, 900))))
        if plan.theme == "liar":
            self.events.append(Event(payments[0] + rng.uniform(0, 600), "forge", (rng.randrange(3), rng.randrange(3))))
        if rng.random() < 0.02:
            self.events.append(Event(rng.choice(payments), "wrong_account", ()))

    def _chain_events(self, plan: Plan, payments: list[float]) -> None:
        """Reorgs and stalled heads."""
        rng = self.rng
        for at in payments:
            if rng.random() < (0.8 if plan.theme == "reorg" else 0.2):
                after = rng.choice((rng.uniform(0.5, 60), rng.uniform(0.5, plan.finality)))
                fates = tuple(rng.choice(("dropped", "moved", "renamed", "kept")) for _ in range(4))
                depth = int((after + rng.uniform(0, 30)) * 5)
                self.events.append(Event(at + after, "reorg", (depth, fates)))
                if rng.random() < 0.5:
                    self._visit(plan, 0, at + after + rng.uniform(0, 40))
        if rng.random() < 0.2:
            stall = ("finalized", rng.uniform(600, 3 * HOUR))
            self.events.append(Event(payments[0] - rng.uniform(0, 900), "stall", stall))
        if rng.random() < 0.1:
            self.events.append(Event(payments[0] + rng.uniform(0, 3000), "stall", ("latest", rng.uniform(60, 7000))))
