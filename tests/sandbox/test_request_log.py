"""The request log has a row and a count per request."""

from stateless_billing.sandbox.effects import lost_after
from tests.sandbox.in_process_client import START, InProcessClient, rows_path


def test_every_request_leaves_a_row_and_a_count(ask: InProcessClient) -> None:
    customer = ask.customer()
    ask.stripe.faults.add(lost_after(), method="POST")
    ask.answer("POST", rows_path(customer), {"amount": -1, "currency": "usd"}, "k")
    ask.credit(customer, 1, "k")
    ask("GET", "/v1/nonesuch")
    ask("DELETE", f"/v1/customers/{customer}")
    log = ask.stripe.log
    assert [(row.status, row.fault, row.replayed) for row in log.rows] == [
        (200, "", False),
        (0, "lost_after", False),
        (200, "", True),
        (404, "", False),
        (200, "", False),
    ]
    assert log.counts["POST /v1/customers/{customer}/balance_transactions"] == 2
    assert log.counts["GET (unrecognized)"] == 1
    assert (log.reads, log.writes) == (1, 4)
    assert log.rows[2].to_json()["time"] == START
    log.reset()
    assert not log.rows
    assert log.reads == 0
