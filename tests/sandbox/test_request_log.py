"""The request log."""

from stateless_billing.sandbox.effects import lost_after
from tests.sandbox.asking import START, Asker, rows_path


def test_every_request_leaves_a_row_and_a_count(ask: Asker) -> None:
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
    assert log.rows[2].shown()["time"] == START
    log.reset()
    assert not log.rows
    assert log.reads == 0
