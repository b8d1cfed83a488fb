"""What an operator sees: metrics on a port of their own, and log lines that lead from a request to Stripe's."""

import json
import socket
import time

import httpx

from stateless_billing.sandbox.stack import KEY, Service, Stack, free_port
from tests.integration.shop import Shop, wait_until

WAITING = {"CONFIRMATIONS": "finalized", "SWEEP": "on"}
CREATE = "POST /v1/customers/:id/balance_transactions"


def metrics(port: int) -> dict[str, float]:
    """The samples by name and labels."""
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    found = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in found}


def once(port: int, name: str, least: float) -> dict[str, float]:
    """The samples as soon as one of them is at least so much."""
    end = time.monotonic() + 30
    while (found := metrics(port)).get(name, -1) < least and time.monotonic() < end:
        time.sleep(0.1)
    return found


def lines(service: Service) -> list[dict[str, str]]:
    return [json.loads(line) for line in service.log().splitlines()]


def test_metrics_tell_what_waits_and_what_was_done(shop: Shop, stack: Stack) -> None:
    port = free_port()
    service = stack.serve(METRICS_PORT=str(port), **WAITING)
    shop.pay(service, shop.customer(), 5000)
    waiting = once(port, 'billing_uncredited_payments{cause="confirming"}', 1)
    assert waiting['billing_uncredited_cents{cause="confirming"}'] == 5000
    assert 0 < waiting["billing_oldest_uncredited_seconds"] < 600
    shop.finalize()
    found = once(port, 'billing_credit_cents_total{kind="quoted",path="sweep"}', 5000)
    assert found['billing_credits_total{kind="quoted",path="sweep"}'] == 1
    assert found['billing_block_to_credit_seconds_count{kind="quoted"}'] == 1
    wait_until(lambda: metrics(port)["billing_oldest_uncredited_seconds"] == 0)
    assert not any(name.startswith("billing_uncredited") for name in metrics(port))
    assert found[f'billing_stripe_requests_total{{endpoint="{CREATE}",outcome="ok"}}'] == 1
    assert any(name.startswith("billing_node_requests_total{") for name in found)
    assert found["billing_finalized_timestamp_seconds"] <= found["billing_head_timestamp_seconds"]
    assert abs(found["billing_clock_skew_seconds"]) < 5
    assert found['billing_grants_cap_cents{cap="everyone"}'] == 50_000
    assert found['billing_http_requests_total{method="POST",part="/api/quotes",status="200"}'] == 1


def test_what_is_held_is_told_by_its_cause(shop: Shop, stack: Stack) -> None:
    port = free_port()
    service, customer = stack.serve(METRICS_PORT=str(port), **WAITING), shop.customer()
    tx_hash = shop.pay(service, customer, 5000)
    headers = {"authorization": f"Bearer {KEY}", "stripe-version": "2026-10-28.endive"}
    assert stack.http.delete(f"{stack.sandbox}/v1/customers/{customer.id}", headers=headers).is_success
    shop.finalize()
    found = once(port, 'billing_uncredited_payments{cause="customer_deleted"}', 1)
    assert found['billing_uncredited_cents{cause="customer_deleted"}'] == 5000
    assert [line for line in lines(service) if line.get("cause") == "customer_deleted" and tx_hash in line["payment"]]


def test_a_claim_leads_to_stripes_own_request(shop: Shop, stack: Stack, service: Service) -> None:
    tx_hash = shop.pay(service, shop.customer(), 5000)
    answer = stack.http.post(f"{service.url}/api/payments", json={"tx_hash": tx_hash})
    [decision] = [line for line in lines(service) if tx_hash in line.get("payment", "")]
    assert decision["request_id"] == answer.headers["x-request-id"]
    assert (decision["state"], decision["work"]) == ("credited", "claim")
    assert decision["credit"] == answer.json()["payments"][0]["credit"]
    assert decision["stripe_request"].startswith("req_")


def test_a_port_that_is_taken_stops_no_payments(shop: Shop, stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        service = stack.serve(METRICS_PORT=str(taken.getsockname()[1]))
        shop.claimed(service, shop.pay(service, shop.customer()))
        assert [line for line in lines(service) if line["level"] == "WARNING" and "no metrics" in line["message"]]


def test_a_sweeper_is_watched_too(stack: Stack) -> None:
    port = free_port()
    sweeper = stack.sweeper(METRICS_PORT=str(port))
    wait_until(lambda: "no metrics" in sweeper.log() or _listens(port))
    assert "billing_grants_cap_cents" in " ".join(metrics(port))


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_what_is_final_is_told_without_asking_any_node(shop: Shop, stack: Stack) -> None:
    port = free_port()
    service = stack.serve(METRICS_PORT=str(port))
    tx_hash = shop.pay(service, shop.customer())
    shop.claimed(service, tx_hash)
    shop.finalize()
    path = f"{service.url}/api/payments/{tx_hash}"
    told = stack.http.get(path).json()
    before = _asked(port)
    assert [stack.http.get(path).json() for _ in range(5)] == [told] * 5
    assert stack.http.post(f"{service.url}/api/payments", json={"tx_hash": tx_hash}).json() == told
    assert _asked(port) == before


def _asked(port: int) -> float:
    return sum(count for name, count in metrics(port).items() if name.startswith("billing_node_requests_total"))
