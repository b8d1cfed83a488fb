"""Idempotency keys: what is compared, what is saved, and how long a key lives."""

import random

import pytest

from stateless_billing.sandbox import effects
from stateless_billing.sandbox.answers import Outcome, Refusal
from stateless_billing.sandbox.idempotency import IdempotencyKeys
from tests.sandbox.in_process_client import START, InProcessClient, rows_path

HOUR = 3600


def test_the_same_request_is_answered_from_the_saved_answer(ask: InProcessClient) -> None:
    customer = ask.customer()
    first = ask.credit(customer, 5, "k")
    ask.clock.now += 23 * HOUR
    again = ask.credit(customer, 5, "k")
    assert (again.body, again.headers["Idempotent-Replayed"]) == (first.body, "true")
    assert len(ask.rows(customer)) == 1


def test_other_parameters_are_an_idempotency_error(ask: InProcessClient) -> None:
    customer = ask.customer()
    ask.credit(customer, 5, "k")
    for form in ({"description": "x"}, {"metadata[a]": "b"}, {"expand[]": "customer"}):
        answer = ask.credit(customer, 5, "k", **form)
        assert (answer.status, answer.error["type"]) == (400, "idempotency_error")
        assert "can only be used with the same parameters they were first used with" in answer.error["message"]
        assert "'k'" in answer.error["message"]
    assert ask.credit(customer, 5, "k").status == 200


def test_parameters_are_compared_whatever_their_order(ask: InProcessClient) -> None:
    customer = ask.customer()
    bodies = (b"amount=-1&currency=usd", b"currency=usd&amount=-1")
    answers = [ask.stripe.handle("POST", rows_path(customer), ask.headers("k"), body) for body in bodies]
    assert answers[1].headers["Idempotent-Replayed"] == "true"


def test_another_path_is_an_idempotency_error_not_a_second_credit(ask: InProcessClient) -> None:
    first, other = ask.customer(), ask.customer()
    ask.credit(first, 5, "k")
    answer = ask.credit(other, 5, "k")
    assert (answer.status, answer.error["type"]) == (400, "idempotency_error")
    assert f"('{rows_path(first)}' vs '{rows_path(other)}')" in answer.error["message"]
    assert ask.rows(other) == []


def test_a_key_belongs_to_one_endpoint_of_any_kind(ask: InProcessClient) -> None:
    form = {"metadata[a]": "1"}
    customer = ask("POST", "/v1/customers", form, "k").body["id"]
    row = ask.credit(customer).body["id"]
    for path in (f"/v1/customers/{customer}", rows_path(customer), f"{rows_path(customer)}/{row}"):
        answer = ask("POST", path, {"amount": "-1", "currency": "usd"} if path == rows_path(customer) else form, "k")
        assert (answer.status, answer.error["type"]) == (400, "idempotency_error")
        assert "code" not in answer.error
    assert len(ask.rows(customer)) == 1


def test_a_running_key_is_refused_to_others_and_in_use_to_its_own(ask: InProcessClient) -> None:
    first, other = ask.customer(), ask.customer()
    ask.stripe.faults.add(effects.slow(inside=2), method="POST")
    steps = ask.stripe.exchange("POST", rows_path(first), ask.headers("k"), b"amount=-5&currency=usd")
    assert next(steps) == 2
    for answer in (ask.credit(other, 5, "k"), ask.credit(first, 6, "k")):
        assert (answer.status, answer.error["type"]) == (400, "idempotency_error")
    assert ask.credit(first, 5, "k").error["code"] == "idempotency_key_in_use"
    assert [*steps] == []
    assert (len(ask.rows(first)), len(ask.rows(other))) == (1, 0)


def test_a_forgotten_key_is_free_for_any_path(ask: InProcessClient) -> None:
    first, other = ask.customer(), ask.customer()
    ask.credit(first, 5, "k")
    ask.clock.now += 31 * HOUR
    assert "Idempotent-Replayed" not in ask.credit(other, 6, "k").headers
    assert ask.credit(first, 5, "k").error["type"] == "idempotency_error"


def test_an_answer_saved_before_the_customer_was_deleted_is_replayed(ask: InProcessClient) -> None:
    customer = ask.customer()
    first = ask.credit(customer, 5, "k")
    ask("DELETE", f"/v1/customers/{customer}")
    again = ask.credit(customer, 5, "k")
    assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (200, first.body, "true")
    assert ask.credit(customer, 6, "k").error["type"] == "idempotency_error"
    assert ask.credit(ask.customer(), 5, "k").error["type"] == "idempotency_error"
    assert ask.credit(customer, 5, "k2").error["code"] == "resource_missing"


def test_failed_validation_saves_nothing(ask: InProcessClient) -> None:
    customer = ask.customer()
    assert ask.credit(customer, 5, "k", amount="much").status == 400
    again = ask.credit(customer, 5, "k")
    assert again.status == 200
    assert "Idempotent-Replayed" not in again.headers


def test_a_rate_limit_saves_nothing_and_comes_before_the_saved_answer(ask: InProcessClient) -> None:
    customer = ask.customer()
    ask.stripe.limits.enabled, ask.stripe.limits.endpoint = True, 0
    assert ask.credit(customer, 5, "k").status == 429
    ask.stripe.limits.enabled = False
    assert "Idempotent-Replayed" not in ask.credit(customer, 5, "k").headers
    ask.stripe.limits.enabled = True
    assert ask.credit(customer, 5, "k").status == 429


def test_keys_of_gets_and_deletes_are_ignored(ask: InProcessClient) -> None:
    customer = ask.customer()
    path = f"/v1/customers/{customer}"
    for method in ("GET", "GET", "DELETE"):
        assert "Idempotent-Replayed" not in ask(method, path, key="k").headers
    assert ask("DELETE", path, key="k").status == 404
    assert len(ask.stripe.account.keys) == 0


def test_keys_have_at_most_255_characters(ask: InProcessClient) -> None:
    assert ask("POST", "/v1/customers", {}, key="k" * 255).status == 200
    answer = ask("POST", "/v1/customers", {}, key="k" * 256)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")


def test_a_key_lives_at_least_24_hours_counted_from_its_first_request(ask: InProcessClient) -> None:
    ask.stripe.set_key_life(24 * HOUR)
    customer = ask.customer()
    ask.credit(customer, 5, "k")
    ask.clock.now += 24 * HOUR - 1
    assert ask.credit(customer, 5, "k").headers["Idempotent-Replayed"] == "true"
    ask.clock.now += 1
    assert "Idempotent-Replayed" not in ask.credit(customer, 5, "k").headers
    assert len(ask.rows(customer)) == 2


def test_a_key_may_live_longer_up_to_the_maximum() -> None:
    keys = IdempotencyKeys(random.Random(5), longest_life=48 * HOUR)
    for number in range(200):
        keys.start(str(number), "/p", {}, "req_", 0)
        keys.save(str(number), Outcome(200, b""))
    alive = [
        sum(keys.find_replay(str(number), "/p", {}, hours * HOUR) is not None for number in range(200))
        for hours in (23, 36, 48)
    ]
    assert alive[0] == 200
    assert 60 < alive[1] < 140
    assert alive[2] == 0


def test_ageing_makes_keys_older_but_not_the_date(ask: InProcessClient) -> None:
    customer = ask.customer()
    ask.credit(customer, 5, "k")
    ask.stripe.age_keys(31 * HOUR)
    answer = ask.credit(customer, 5, "k")
    assert "Idempotent-Replayed" not in answer.headers
    assert answer.body["created"] == START


def test_a_running_request_keeps_its_key_however_old() -> None:
    keys = IdempotencyKeys(random.Random(5))
    keys.start("k", "/p", {}, "req_", 0)
    with pytest.raises(Refusal) as refusal:
        keys.find_replay("k", "/p", {}, 90 * HOUR)
    assert (refusal.value.status, refusal.value.code) == (409, "idempotency_key_in_use")
    with pytest.raises(Refusal) as refusal:
        keys.find_replay("k", "/p", {"amount": "1"}, 0)
    assert refusal.value.kind == "idempotency_error"
