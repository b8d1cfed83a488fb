"""The order of checks, the headers, and the state after each fault, in process."""

import random
import time
from email.utils import parsedate_to_datetime

import pytest

from stateless_billing.sandbox import effects
from stateless_billing.sandbox.answers import Delivery
from stateless_billing.sandbox.api_keys import ApiKey
from stateless_billing.sandbox.effects import Effect
from stateless_billing.sandbox.routes import TRANSACTIONS
from stateless_billing.sandbox.stripe_api import API_VERSION, StripeStandIn
from tests.sandbox.in_process_client import START, InProcessClient, rows_path


def fail(ask: InProcessClient, effect: Effect) -> None:
    """Make the next credit fail."""
    ask.stripe.faults.add(effect, method="POST", template=TRANSACTIONS)


def test_headers(ask: InProcessClient) -> None:
    answer = ask("POST", "/v1/customers", {}, key="k")
    assert answer.headers["Request-Id"].startswith("req_")
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == START
    assert answer.headers["Stripe-Version"] == API_VERSION
    assert answer.headers["Idempotency-Key"] == "k"
    assert "Idempotent-Replayed" not in answer.headers
    again = ask("POST", "/v1/customers", {}, key="k")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Original-Request"] == answer.headers["Request-Id"] != again.headers["Request-Id"]
    assert again.body == answer.body


@pytest.mark.parametrize("version", ["", "2020-01-01"])
def test_another_version_is_refused(ask: InProcessClient, version: str) -> None:
    headers = {**ask.headers(), "Stripe-Version": version}
    assert ask.stripe.handle("GET", "/v1/customers", headers).status == 400
    ask.stripe.api_version = None
    assert ask.stripe.handle("GET", "/v1/customers", headers).status == 200
    assert ask.stripe.log.rows[-1].version == version


def test_an_unknown_url_is_refused_in_stripes_form(ask: InProcessClient) -> None:
    answer = ask("GET", "/v1/coupons")
    assert answer.status == 404
    assert answer.error["message"].startswith("Unrecognized request URL (GET: /v1/coupons)")
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["request_log_url"].startswith("https://dashboard.stripe.com/test/logs/req_")


def test_checks_come_in_stripes_order(ask: InProcessClient) -> None:
    ask.stripe.keys.add(ApiKey("rk_test_none", permissions=frozenset()))
    assert ask("GET", "/v1/coupons", secret="sk_test_unknown").status == 401
    assert ask("POST", "/v1/customers", {"unknown": 1}, secret="rk_test_none").status == 403
    ask.stripe.limits.enabled, ask.stripe.limits.endpoint = True, 0
    assert ask("GET", "/v1/coupons").status == 429
    assert ask("GET", "/v1/customers", secret="sk_test_unknown").status == 401


def test_json_and_query_parameters_of_a_post_are_refused(ask: InProcessClient) -> None:
    headers = {**ask.headers(), "Content-Type": "application/json"}
    assert ask.stripe.handle("POST", "/v1/customers", headers, b"{}").status == 400
    assert ask.stripe.handle("POST", "/v1/customers?email=a@b.c", ask.headers()).status == 400
    assert ask.stripe.handle("POST", "/v1/customers", ask.headers(), b"name=\xff").status == 400


def test_lost_before_leaves_nothing(ask: InProcessClient) -> None:
    customer = ask.customer()
    fail(ask, effects.lost_before())
    assert ask.answer("POST", rows_path(customer), {"amount": -1, "currency": "usd"}, "k").delivery is Delivery.LOST
    assert ask.rows(customer) == []
    assert "Idempotent-Replayed" not in ask.credit(customer, 1, "k").headers


def test_lost_after_wrote_the_row_and_replays_it(ask: InProcessClient) -> None:
    customer = ask.customer()
    fail(ask, effects.lost_after())
    assert ask.answer("POST", rows_path(customer), {"amount": -1, "currency": "usd"}, "k").delivery is Delivery.LOST
    assert len(ask.rows(customer)) == 1
    again = ask.credit(customer, 1, "k")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.body["id"] == ask.rows(customer)[0]["id"]


@pytest.mark.parametrize(("effect", "delivery"), [(effects.cut(), Delivery.CUT), (effects.shortened(), Delivery.WHOLE)])
def test_a_cut_answer_was_executed(ask: InProcessClient, effect: Effect, delivery: Delivery) -> None:
    customer = ask.customer()
    fail(ask, effect)
    answer = ask.answer("POST", rows_path(customer), {"amount": -1, "currency": "usd"}, "k")
    assert (answer.status, answer.delivery) == (200, delivery)
    assert (answer.length > len(answer.body)) is (delivery is Delivery.CUT)
    assert not answer.body.endswith(b"}")
    assert len(ask.rows(customer)) == 1


@pytest.mark.parametrize(("effect", "rows"), [(effects.error_saved(), 0), (effects.error_saved_done(), 1)])
def test_a_saved_500_is_replayed_whether_or_not_the_row_was_made(
    ask: InProcessClient, effect: Effect, rows: int
) -> None:
    customer = ask.customer()
    fail(ask, effect)
    first = ask.credit(customer, 1, "k")
    assert first.status == 500
    assert first.headers["Stripe-Should-Retry"] == "false"
    assert len(ask.rows(customer)) == rows
    again = ask.credit(customer, 1, "k")
    assert (again.status, again.body) == (500, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    ask.stripe.age_keys(31 * 3600)
    assert ask.credit(customer, 1, "k").status == 200
    assert len(ask.rows(customer)) == rows + 1


@pytest.mark.parametrize("backdated", [False, True])
def test_stripe_finishes_a_saved_500_later(ask: InProcessClient, backdated: bool) -> None:
    customer = ask.customer()
    fail(ask, effects.error_saved_late(3600, backdated=backdated))
    assert ask.credit(customer, 1, "k").status == 500
    ask.clock.now += 3599
    assert ask.rows(customer) == []
    ask.clock.now += 2
    (row,) = ask.rows(customer)
    assert row["created"] == (START if backdated else START + 3600)
    assert ask.credit(customer, 1, "k").status == 500


def test_late_work_and_a_new_key_make_two_rows(ask: InProcessClient) -> None:
    customer = ask.customer()
    fail(ask, effects.error_saved_late(30 * 3600))
    ask.credit(customer, 1, "k")
    ask.clock.now += 25 * 3600
    assert ask.credit(customer, 1, "k2").status == 200
    ask.clock.now += 6 * 3600
    assert len(ask.rows(customer)) == 2


@pytest.mark.parametrize(
    ("effect", "status"),
    [
        (effects.error_unsaved(424), 424),
        (effects.gateway(503), 503),
        (effects.limited("global-concurrency"), 429),
        (effects.locked(), 429),
        (effects.unknown_key(), 401),
        (effects.not_permitted(), 403),
        (effects.key_in_use(), 409),
    ],
)
def test_refusals_before_execution_save_nothing(ask: InProcessClient, effect: Effect, status: int) -> None:
    customer = ask.customer()
    fail(ask, effect)
    assert ask.answer("POST", rows_path(customer), {"amount": -1, "currency": "usd"}, "k").status == status
    assert ask.rows(customer) == []
    again = ask.credit(customer, 1, "k")
    assert again.status == 200
    assert "Idempotent-Replayed" not in again.headers


def test_a_gateway_page_may_hide_an_executed_request(ask: InProcessClient) -> None:
    customer = ask.customer()
    fail(ask, effects.gateway(502, executed=True))
    answer = ask.answer("POST", rows_path(customer), {"amount": -1, "currency": "usd"}, "k")
    assert (answer.status, answer.headers["Content-Type"]) == (502, "text/html")
    assert answer.body.startswith(b"<html>")
    assert ask.credit(customer, 1, "k").headers["Idempotent-Replayed"] == "true"
    assert len(ask.rows(customer)) == 1


def test_a_lock_timeout_has_no_reason_and_asks_for_a_retry(ask: InProcessClient) -> None:
    customer = ask.customer()
    fail(ask, effects.locked())
    answer = ask.credit(customer)
    assert (answer.error["code"], answer.error["type"]) == ("lock_timeout", "invalid_request_error")
    assert answer.headers["Stripe-Should-Retry"] == "true"
    assert "Stripe-Rate-Limited-Reason" not in answer.headers
    ask.stripe.faults.add(effects.locked(), method="GET")
    assert ask("GET", f"/v1/customers/{customer}").status == 429


def test_a_saved_lock_timeout_is_replayed(ask: InProcessClient) -> None:
    customer = ask.customer()
    fail(ask, effects.locked(saved=True))
    assert ask.credit(customer, 1, "k").status == 429
    assert ask.credit(customer, 1, "k").status == 429


def test_a_row_appears_only_when_execution_ends_and_its_key_is_in_use_until_then(ask: InProcessClient) -> None:
    customer = ask.customer()
    fail(ask, effects.slow(before=1, inside=2, after=3))
    body = b"amount=-1&currency=usd"
    steps = ask.stripe.exchange("POST", rows_path(customer), ask.headers("k"), body)
    assert next(steps) == 1
    assert next(steps) == 2
    busy = ask.credit(customer, 1, "k")
    assert (busy.status, busy.error["code"]) == (409, "idempotency_key_in_use")
    assert ask.rows(customer) == []
    assert next(steps) == 3
    assert len(ask.rows(customer)) == 1
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value.status == 200
    assert ask.credit(customer, 1, "k").headers["Idempotent-Replayed"] == "true"


def test_the_third_page_of_a_list_can_fail(ask: InProcessClient) -> None:
    customer = ask.customer()
    ask.stripe.faults.add(effects.error_unsaved(), method="GET", template=TRANSACTIONS, skip=2)
    assert [ask("GET", rows_path(customer)).status for _ in range(4)] == [200, 200, 500, 200]


def test_a_stale_list_lacks_the_young_rows(ask: InProcessClient) -> None:
    customer = ask.customer()
    ask.credit(customer)
    ask.clock.now += 1000
    ask.credit(customer)
    ask.stripe.faults.add(effects.stale_list(500), method="GET")
    assert len(ask.rows(customer)) == 1
    assert len(ask.rows(customer)) == 2


def test_the_date_can_be_wrong(ask: InProcessClient) -> None:
    ask.stripe.faults.add(effects.wrong_date(-7200))
    assert parsedate_to_datetime(ask("GET", "/v1/customers").headers["Date"]).timestamp() == START - 7200


def test_accounts_and_modes_do_not_meet() -> None:
    keys = (ApiKey("sk_test_a"), ApiKey("sk_live_a"), ApiKey("sk_test_b", account="acct_other"))
    ask = InProcessClient(keys=keys)
    made = ask("POST", "/v1/customers", {}, key="k", secret="sk_test_a").body
    assert made["livemode"] is False
    for secret in ("sk_live_a", "sk_test_b"):
        assert ask("GET", f"/v1/customers/{made['id']}", secret=secret).status == 404
        assert "Idempotent-Replayed" not in ask("POST", "/v1/customers", {}, key="k", secret=secret).headers
    assert ask("POST", "/v1/customers", {}, secret="sk_live_a").body["livemode"] is True
    assert ask("GET", "/v1/account", secret="sk_test_b").body["id"] == "acct_other"


def test_every_key_of_an_account_shares_its_idempotency_keys() -> None:
    ask = InProcessClient(keys=(ApiKey("sk_test_a"), ApiKey("sk_test_b")))
    ask("POST", "/v1/customers", {}, key="k", secret="sk_test_a")
    assert ask("POST", "/v1/customers", {}, key="k", secret="sk_test_b").headers["Idempotent-Replayed"] == "true"


def test_a_refusal_from_inside_execution_is_saved_or_not_as_set() -> None:
    for saving in (True, False):
        ask = InProcessClient(save_refusals=saving)
        assert ask.credit("cus_none", 1, "k").status == 404
        assert ("Idempotent-Replayed" in ask.credit("cus_none", 1, "k").headers) is saving


def test_the_same_seed_gives_the_same_world() -> None:
    def history(seed: int) -> list[bytes]:
        stripe = StripeStandIn(lambda: START, random.Random(seed))
        headers = InProcessClient().headers("k")
        return [stripe.handle("POST", "/v1/customers", headers, b"email=a@b.c").body]

    assert history(3) == history(3) != history(4)


def test_the_core_is_fast_enough_for_simulations() -> None:
    began = time.process_time()
    for _ in range(100):
        ask = InProcessClient()
        customer = ask.customer()
        for number in range(10):
            ask.credit(customer, 1, f"k{number}")
    assert time.process_time() - began < 2
