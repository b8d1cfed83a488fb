"""The Stripe stand-in: answers requests deterministically, given a clock and a seed.

Checks run in Stripe's order as far as documented (docs.stripe.com/error-low-level): key, rate limit, URL, permission,
idempotency key, parameters, execution. Only the result of execution is saved under the key.
"""

import heapq
import itertools
import json
import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate

from stateless_billing.sandbox import identifiers
from stateless_billing.sandbox.account import Account
from stateless_billing.sandbox.answers import LOST_ANSWER, Answer, Delivery, Outcome, Refusal, refusal_outcome
from stateless_billing.sandbox.api_keys import DEFAULT_ACCOUNT, DEFAULT_KEY, ApiKey, KeyRing, permit
from stateless_billing.sandbox.calls import Call, Endpoint, Work
from stateless_billing.sandbox.effects import Effect
from stateless_billing.sandbox.effects import Work as Does
from stateless_billing.sandbox.faults import FaultPlan
from stateless_billing.sandbox.forms import Group, decode_form
from stateless_billing.sandbox.idempotency import check_key
from stateless_billing.sandbox.limits import RateLimits
from stateless_billing.sandbox.paging import SameSecond
from stateless_billing.sandbox.request_log import LogRow, RequestLog
from stateless_billing.sandbox.routes import find_endpoint, unrecognized

API_VERSION = "2026-10-28.endive"
FORM = "application/x-www-form-urlencoded"
PAGE = b"<html><head><title>Bad gateway</title></head><body><center><h1>nginx</h1></center></body></html>\r\n"


@dataclass(slots=True)
class Request:
    """A request in progress."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    endpoint: Endpoint | None
    ids: tuple[str, ...]
    effect: Effect
    row: LogRow
    key: str = ""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that passed all checks before execution."""

    account: Account
    work: Work


class StripeStandIn:
    """The part of Stripe that the project uses. Not thread-safe.

    `clock` returns Unix seconds. `search_lag` and `list_lag` are the seconds by which search and lists trail writes.
    `api_version` is the required `Stripe-Version`; None accepts any. `save_refusals` saves a 4xx of the execution under
    the key (Stripe documents both). `same_second` is the order of a ledger's rows within one second (Stripe documents
    neither).
    """

    def __init__(
        self,
        clock: Callable[[], float],
        rng: random.Random,
        *,
        keys: tuple[ApiKey, ...] = (ApiKey(DEFAULT_KEY),),
        search_lag: float = 0.0,
        list_lag: float = 0.0,
        longest_key_life: float = 30 * 3600.0,
        api_version: str | None = API_VERSION,
        save_refusals: bool = True,
        same_second: SameSecond = SameSecond.NEWEST_FIRST,
    ) -> None:
        self.clock = clock
        self.rng = rng
        self.keys = KeyRing(*keys)
        self.limits = RateLimits()
        self.faults = FaultPlan(rng)
        self.log = RequestLog()
        self.search_lag = search_lag
        self.list_lag = list_lag
        self.longest_key_life = longest_key_life
        self.api_version = api_version
        self.save_refusals = save_refusals
        self.same_second = same_second
        self._accounts: dict[tuple[str, bool], Account] = {}
        self._late: list[tuple[float, int, Work, int]] = []
        self._numbers = itertools.count()
        self.account = self.account_of(keys[0]) if keys else self._account(DEFAULT_ACCOUNT, False)

    def account_of(self, key: ApiKey) -> Account:
        """Return a key's account; test and live mode are separate. `account` is that of the first key."""
        return self._account(key.account, key.livemode)

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Answer at once, ignoring delays of faults. `path` includes the query string."""
        steps = self.exchange(method, path, headers, body)
        try:
            while True:
                next(steps)
        except StopIteration as stop:
            answer: Answer = stop.value
            return answer

    def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Generator[float, None, Answer]:
        """Process a request in stages, yielding the seconds to wait before each; return the answer.

        The row is written when the generator resumes after the `inside` wait; until then the key is in use.
        """
        request = self._receive(method, path, headers, body)
        effect = request.effect
        if effect.before:
            yield effect.before
        admitted = self._admit(request)
        if isinstance(admitted, Outcome):
            outcome = admitted
        else:
            if effect.inside:
                yield effect.inside
            outcome = self._execute(request, admitted)
        if effect.after:
            yield effect.after
        return self._render_answer(request, outcome)

    def finish_late_work(self) -> None:
        """Run deferred work of earlier requests that is due; every request does this first."""
        now = self.clock()
        while self._late and self._late[0][0] <= now:
            due, _, work, created = heapq.heappop(self._late)
            try:
                work(now, created or int(due))
            except Refusal:
                continue

    def age_keys(self, seconds: float) -> None:
        """Make every idempotency key older by `seconds`; the clock and `Date` stay."""
        for account in self._accounts.values():
            account.keys.age(seconds)

    def set_key_life(self, longest: float) -> None:
        """Set the longest life of keys used from now on, in seconds (at least 24 h)."""
        self.longest_key_life = longest
        for account in self._accounts.values():
            account.keys.longest_life = longest

    def _account(self, identifier: str, livemode: bool) -> Account:
        account = self._accounts.get((identifier, livemode))
        if account is None:
            account = self._accounts[identifier, livemode] = Account(identifier, livemode, self.rng)
            account.keys.longest_life = self.longest_key_life
        return account

    def _receive(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Request:
        self.finish_late_work()
        bare, _, query = path.partition("?")
        lower = {name.lower(): value for name, value in headers.items()}
        endpoint, ids = find_endpoint(method, bare)
        template = endpoint.template if endpoint else ""
        name = endpoint.name if endpoint else f"{method} (unrecognized)"
        effect = self.faults.next_effect(method, template, bare)
        identifier = identifiers.request_id(self.rng)
        key = lower.get("idempotency-key", "") if method == "POST" else ""
        version = lower.get("stripe-version", "")
        row = LogRow(identifier, self.clock(), method, name, path, key, version, effect.name)
        self.log.add(row)
        return Request(method, bare, query, lower, body, endpoint, ids, effect, row, key=key)

    def _admit(self, request: Request) -> Outcome | Admitted:
        """Run the checks before execution: return the answer, or the work to execute."""
        now = self.clock()
        early = request.effect.early
        if early is not None:
            return refusal_outcome(early, request.row.id, int(now))
        try:
            return self._check(request, now)
        except Refusal as refusal:
            return refusal_outcome(refusal, request.row.id, int(now))

    def _check(self, request: Request, now: float) -> Outcome | Admitted:
        api_key = self.keys.authenticated(request.headers.get("authorization", ""))
        self.limits.admit(request.row.endpoint, now, livemode=api_key.livemode)
        endpoint = request.endpoint
        if endpoint is None:
            raise unrecognized(request.method, request.path)
        permit(api_key, endpoint.permission)
        if self.api_version is not None and request.row.version != self.api_version:
            raise Refusal(400, f"Invalid Stripe API version: {request.row.version}")
        account = self.account_of(api_key)
        group = _group(request)
        if request.key:
            saved = account.keys.find_replay(check_key(request.key), request.path, group, now)
            if saved is not None:
                return saved
        lag = max(self.list_lag, request.effect.list_lag)
        listing_fault = request.effect.listing_fault
        if listing_fault.same_second is None:
            listing_fault = replace(listing_fault, same_second=self.same_second)
        work = endpoint.prepare(Call(account, request.path, request.ids, group, lag, self.search_lag, listing_fault))
        if request.key:
            account.keys.start(request.key, request.path, group, request.row.id, now)
        return Admitted(account, work)

    def _execute(self, request: Request, admitted: Admitted) -> Outcome:
        now = self.clock()
        effect, keys = request.effect, admitted.account.keys
        saved = effect.saved
        try:
            outcome = self._run_work(effect, admitted.work, now, int(request.row.time))
        except Refusal as refusal:
            outcome = refusal_outcome(refusal, request.row.id, int(now))
            saved = saved and self.save_refusals
        if effect.instead is not None:
            outcome = refusal_outcome(effect.instead, request.row.id, int(now))
            saved = effect.saved
        outcome.original = request.row.id
        if request.key and saved:
            keys.save(request.key, outcome)
        elif request.key:
            keys.forget(request.key)
        return outcome

    def _run_work(self, effect: Effect, work: Work, now: float, arrived: int) -> Outcome:
        if effect.work is Does.LATER:
            created = arrived if effect.backdated else 0
            heapq.heappush(self._late, (now + effect.late_by, next(self._numbers), work, created))
        if effect.work is not Does.DONE:
            return Outcome(0, b"")
        return Outcome(200, json.dumps(work(now, int(now))).encode())

    def _render_answer(self, request: Request, outcome: Outcome) -> Answer:
        effect, row = request.effect, request.row
        row.replayed = outcome.replayed
        if effect.delivery is Delivery.LOST:
            return LOST_ANSWER
        date = formatdate(self.clock() + effect.date_offset, usegmt=True)
        if effect.html:
            row.status = effect.html
            return Answer(effect.html, {"Content-Type": "text/html", "Date": date}, PAGE, length=len(PAGE))
        row.status = outcome.status
        headers = {
            "Content-Type": "application/json",
            "Cache-Control": "no-cache, no-store",
            "Date": date,
            "Request-Id": row.id,
            "Stripe-Version": row.version or API_VERSION,
            **outcome.headers,
        }
        if request.key:
            headers["Idempotency-Key"] = request.key
            if outcome.original:
                headers["Original-Request"] = outcome.original
            if outcome.replayed:
                headers["Idempotent-Replayed"] = "true"
        body = outcome.body
        if effect.sent_fraction < 1.0:
            body = body[: int(len(body) * effect.sent_fraction)]
        length = len(body) if effect.shortened else len(outcome.body)
        return Answer(outcome.status, headers, body, effect.delivery, length)


def _group(request: Request) -> Group:
    if request.method != "POST":
        return decode_form(request.query)
    kind = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
    if request.body and kind != FORM:
        raise Refusal(400, f"Invalid request: the body must be {FORM}")
    if request.query:
        raise Refusal(400, "Invalid request: parameters of a POST belong into its body")
    try:
        return decode_form(request.body.decode())
    except UnicodeDecodeError:
        raise Refusal(400, "Invalid request: the body is not UTF-8") from None
