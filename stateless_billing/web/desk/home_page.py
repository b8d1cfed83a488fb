"""`/admin`: what needs somebody now. Each part is read by itself and fails alone."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cachetools import TTLCache
from starlette.requests import Request
from starlette.responses import Response

from chain.errors import ChainError
from stateless_billing.bookkeeping.records import NotOurAccount
from stateless_billing.domain.money import Rate
from stateless_billing.domain.order_rules import DAY, Order
from stateless_billing.grants.granting import RemainingLimits
from stateless_billing.operators.roster import GRANT, RELEASE, Operator
from stateless_billing.pricing.override_values import Override, override_at, parse_override
from stateless_billing.pricing.rate_overrides import SOURCE
from stateless_billing.pricing.rates import NoRate
from stateless_billing.services import readiness
from stateless_billing.services.readiness import CheckResponse
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.support.decisions.order_rows import waiting_orders
from stateless_billing.support.recent_payments import Overview
from stateless_billing.web.desk import definitions, health_lines
from stateless_billing.web.desk.health_lines import NOT_FINISHED, HealthLine
from stateless_billing.web.operators import rate_chart
from stateless_billing.web.operators.page_frame import OperatorPage, PageFrame
from stateless_billing.web.operators.sessions import is_quiet

log = logging.getLogger(__name__)

PART_SECONDS = 6.0
_STRIPE_TTL_SECONDS = 300  # a page that refreshes itself must not use up the account's reads
_PROPOSAL_DAYS = 30
_CACHE_SIZE = 1_000


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the page: its value, or the sentence that says why there is none, and when it was read."""

    value: Any = None
    problem: str = ""
    at: int = 0


@dataclass(frozen=True, slots=True)
class Proposals:
    """What waits for a second admin."""

    orders: Sequence[Order]
    rate: Override | None


class HomePage:
    """Handler of the home page, which leads to the search when it is asked something."""

    def __init__(self, frame: PageFrame, find: OperatorPage) -> None:
        self._frame = frame
        self._services = frame.services
        self._find = find
        self._stripe_parts: TTLCache[tuple[str, str], Part] = TTLCache(
            _CACHE_SIZE, _STRIPE_TTL_SECONDS, self._services.clock.boot
        )
        self.page = frame.create_handler(self._page)

    async def _page(self, request: Request, operator: Operator) -> Response:
        if request.query_params.get("q", "").strip():
            return await self._find(request, operator)
        quiet = is_quiet(request)
        gives, decides = operator.has_right(GRANT), operator.has_right(RELEASE)
        payments, rate, day, checks, limits, proposals = await asyncio.gather(
            self._read_part(lambda: self._services.recent_payments.overview(self._services.sign_outs.record)),
            self._read_part(self._read_rate),
            self._read_part(self._read_day),
            self._run_checks(),
            self._read_stripe_part("limits", operator, lambda: self._read_limits(operator), gives, quiet),
            self._read_stripe_part("proposals", operator, self._read_proposals, decides, quiet),
        )
        return self._frame.render(
            "admin_home.html",
            request,
            payments=payments,
            record_age=self._services.sign_outs.record_age,
            rate=rate,
            day=day,
            width=rate_chart.WIDTH,
            height=rate_chart.HEIGHT,
            health=self._describe_health(checks),
            limits=limits,
            proposals=_without_settled(proposals, payments),
            sentences={**definitions.STATES, **definitions.CAUSES},
        )

    async def _read_part(self, read: Callable[[], Awaitable[Any]]) -> Part:
        """Read one part; a failure or a silence becomes a sentence."""
        now = int(self._services.clock.wall())
        try:
            async with asyncio.timeout(PART_SECONDS):
                return Part(await read(), at=now)
        except TimeoutError:
            return Part(problem=f"No answer came within {PART_SECONDS:.0f} seconds", at=now)
        except ChainError:
            return Part(problem="The chain could not be read", at=now)
        except (StripeFailure, NotOurAccount):
            return Part(problem="Stripe could not be read", at=now)
        except NoRate as error:
            return Part(problem=f"There is no rate: {error}", at=now)
        except Exception:
            log.exception("a part of the home page failed")
            return Part(problem="This part failed on our side; the log has the reason", at=now)

    async def _read_stripe_part(
        self, name: str, operator: Operator, read: Callable[[], Awaitable[Any]], is_allowed: bool, quiet: bool
    ) -> Part | None:
        """Read a part that costs Stripe reads; a quiet refresh repeats the last minutes' answer."""
        if not is_allowed:
            return None
        key = name, operator.name
        cached = self._stripe_parts.get(key) if quiet else None
        if cached is None:
            cached = await self._read_part(read)
            if not cached.problem:
                self._stripe_parts[key] = cached
        return cached

    async def _read_limits(self, operator: Operator) -> RemainingLimits:
        return await self._services.grants.remaining_limits(operator.name)

    async def _read_proposals(self) -> Proposals:
        since = int(self._services.clock.wall()) - _PROPOSAL_DAYS * DAY
        orders = await self._services.orders.list_since(since - DAY)
        waiting = [order for order in waiting_orders(orders) if order.created >= since]
        record = self._services.sign_outs.record
        proposal = parse_override((record.value("rate_proposal") if record else None) or "")
        is_open = proposal is not None and proposal.until > self._services.clock.wall()
        return Proposals(waiting, proposal if is_open else None)

    async def _read_rate(self) -> Rate:
        """Read the rate now; the service record that every page reads tells whether an admin set it."""
        record, now = self._services.sign_outs.record, int(self._services.clock.wall())
        override = override_at((record.metadata if record else None) or {}, now)
        return (
            Rate(override.rate, SOURCE, override.since) if override else await self._services.price_feed.current_rate()
        )

    async def _read_day(self) -> rate_chart.Line | None:
        return rate_chart.create_line(await self._services.price_feed.recent_samples())

    async def _run_checks(self) -> dict[str, CheckResponse]:
        """Run the checks of `/readyz` that wait for somebody, each within its time."""
        services = self._services
        names = ("chain", "nodes", "finality")
        chain, price = await asyncio.gather(
            _finish(readiness.check_chain(services), dict.fromkeys(names, NOT_FINISHED)),
            _finish(readiness.check_price(services), NOT_FINISHED),
        )
        checks: dict[str, CheckResponse] = chain | {"price": price}
        if services.settings.signer_key:
            checks["signer"] = await _finish(readiness.check_signer(services), NOT_FINISHED)
        return checks

    def _describe_health(self, checks: dict[str, CheckResponse]) -> list[HealthLine]:
        """Word the checks, and how Stripe answered the other parts of the page."""
        checks = {"stripe": readiness.check_stripe(self._services)} | checks
        daily = self._services.lookup_budget.daily
        return [*health_lines.create_lines(checks), health_lines.create_budget_line(daily.used(), daily.limit)]


async def _finish(reading: Awaitable[Any], fallback: Any) -> Any:
    """Await a check, or return `fallback` if it takes too long."""
    try:
        async with asyncio.timeout(PART_SECONDS):
            return await reading
    except TimeoutError:
        return fallback


def _without_settled(proposals: Part | None, payments: Part) -> Part | None:
    """Leave out orders about payments that wait no longer, if all that wait is known."""
    if proposals is None or proposals.value is None or payments.value is None:
        return proposals
    overview: Overview = payments.value
    if not overview.complete:
        return proposals
    orders = [
        order
        for order in proposals.value.orders
        if order.payment in overview.waiting_payments or order.payment.startswith("wallet:")
    ]
    return Part(Proposals(orders, proposals.value.rate), at=proposals.at)
