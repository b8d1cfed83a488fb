"""Observability: metrics on their own port, and log lines that link a request to Stripe's."""

import json
import socket
import time

import httpx

from stateless_billing.runtime.bounded_http import create_ssl_context
from stateless_billing.sandbox.stack import KEY, Service, Stack, free_port
from stateless_billing.version import VERSION
from tests.integration.shop import Shop, wait_until

WAITING = {"CONFIRMATIONS": "finalized", "SWEEP": "on"}
CREATE = "POST /v1/customers/:id/balance_transactions"


def metrics(port: int) -> dict[str, float]:
    """Return the samples by name and labels."""
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", verify=create_ssl_context(), trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    samples = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in samples}


def wait_for_metric(port: int, name: str, least: float) -> dict[str, float]:
    """Wait until a sample reaches a minimum; return all samples."""
    end = time.monotonic() + 30
    while (samples := metrics(port)).get(name, -1) < least and time.monotonic() < end:
        time.sleep(0.1)
    return samples


def lines(service: Service) -> list[dict[str, str]]:
    return [json.loads(line) for line in service.log().splitlines()]


def test_metrics_count_waiting_and_credited_payments(shop: Shop, stack: Stack) -> None:
    port = free_port()
    service = stack.serve(METRICS_PORT=str(port), **WAITING)
    shop.pay(service, shop.customer(), 5000)
    waiting = wait_for_metric(port, 'billing_uncredited_payments{cause="confirming"}', 1)
    assert waiting['billing_uncredited_cents{cause="confirming"}'] == 5000
    assert 0 < waiting["billing_oldest_uncredited_seconds"] < 600
    shop.finalize()
    samples = wait_for_metric(port, 'billing_credit_cents_total{kind="quoted",path="sweep"}', 5000)
    assert samples['billing_credits_total{kind="quoted",path="sweep"}'] == 1
    assert samples['billing_block_to_credit_seconds_count{kind="quoted"}'] == 1
    wait_until(lambda: metrics(port)["billing_oldest_uncredited_seconds"] == 0)
    assert not any(name.startswith("billing_uncredited") for name in metrics(port))
    assert samples[f'billing_stripe_requests_total{{endpoint="{CREATE}",outcome="ok"}}'] == 1
    assert any(name.startswith("billing_node_requests_total{") for name in samples)
    assert samples["billing_finalized_timestamp_seconds"] <= samples["billing_head_timestamp_seconds"]
    assert abs(samples["billing_clock_skew_seconds"]) < 5
    [build] = [name for name in samples if name.startswith("billing_build_info{")]
    assert f'version="{VERSION}"' in build
    assert samples['billing_grants_cap_cents{cap="everyone"}'] == 50_000
    assert samples['billing_http_requests_total{method="POST",part="/api/quotes",status="200"}'] == 1


def test_held_payments_are_counted_by_cause(shop: Shop, stack: Stack) -> None:
    port = free_port()
    service, customer = stack.serve(METRICS_PORT=str(port), **WAITING), shop.customer()
    tx_hash = shop.pay(service, customer, 5000)
    headers = {"authorization": f"Bearer {KEY}", "stripe-version": "2026-10-28.endive"}
    assert stack.http.delete(f"{stack.sandbox}/v1/customers/{customer.id}", headers=headers).is_success
    shop.finalize()
    samples = wait_for_metric(port, 'billing_uncredited_payments{cause="customer_deleted"}', 1)
    assert samples['billing_uncredited_cents{cause="customer_deleted"}'] == 5000
    assert [line for line in lines(service) if line.get("cause") == "customer_deleted" and tx_hash in line["payment"]]


def test_a_claims_log_line_names_stripes_request(shop: Shop, stack: Stack, service: Service) -> None:
    tx_hash = shop.pay(service, shop.customer(), 5000)
    answer = stack.http.post(f"{service.url}/api/payments", json={"tx_hash": tx_hash})
    [decision] = [line for line in lines(service) if tx_hash in line.get("payment", "")]
    assert decision["request_id"] == answer.headers["x-request-id"]
    assert (decision["state"], decision["work"]) == ("credited", "claim")
    assert decision["credit"] == answer.json()["payments"][0]["credit"]
    assert decision["stripe_request"].startswith("req_")


def test_an_occupied_metrics_port_stops_no_payments(shop: Shop, stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        service = stack.serve(METRICS_PORT=str(taken.getsockname()[1]))
        shop.claimed(service, shop.pay(service, shop.customer()))
        assert [line for line in lines(service) if line["level"] == "WARNING" and "no metrics" in line["message"]]


def test_a_sweeper_has_metrics_too(stack: Stack) -> None:
    port = free_port()
    sweeper = stack.sweeper(METRICS_PORT=str(port))
    wait_until(lambda: "no metrics" in sweeper.log() or _listens(port))
    assert "billing_grants_cap_cents" in " ".join(metrics(port))


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_final_payments_are_answered_without_any_node(shop: Shop, stack: Stack) -> None:
    port = free_port()
    service = stack.serve(METRICS_PORT=str(port))
    tx_hash = shop.pay(service, shop.customer())
    shop.claimed(service, tx_hash)
    shop.finalize()
    path = f"{service.url}/api/payments/{tx_hash}"

    def is_free() -> bool:
        """Whether the process knows by now that the payment is final."""
        before = _node_requests(port)
        return stack.http.get(path).is_success and _node_requests(port) == before

    wait_until(is_free)
    answer = stack.http.get(path).json()
    before = _node_requests(port)
    assert [stack.http.get(path).json() for _ in range(5)] == [answer] * 5
    assert stack.http.post(f"{service.url}/api/payments", json={"tx_hash": tx_hash}).json() == answer
    assert _node_requests(port) == before


def _node_requests(port: int) -> float:
    return sum(count for name, count in metrics(port).items() if name.startswith("billing_node_requests_total"))
