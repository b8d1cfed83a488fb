"""Everything a visitor sends is bounded before use: no request is dear, fails on our side or is broken off."""

import pytest

from stateless_billing.domain.order_rules import parse_order_text
from stateless_billing.web.pages.links import MAX_QR_LENGTH, qr_svg
from tests.attack.attack_request_cpu import MAX_CPU_MS, measure

ROUTES = {
    "/pay",
    "/receipt/{tx_hash}/{ordinal}",
    "/problems/{code}",
    "/api/quotes",
    "/api/payments",
    "/api/admin/orders",
    "/api/admin/rate",
    "/admin/grants",
}


def test_no_request_is_dear_or_broken_off() -> None:
    costs = measure(ROUTES)
    assert len(costs) > 150
    assert not [(cost.attack.name, cost.status) for cost in costs if cost.status >= 500 or not cost.is_whole]
    dear = [cost for cost in costs if cost.cpu_ms > MAX_CPU_MS]
    assert not dear, [f"{cost.attack.path} {cost.attack.name}: {cost.cpu_ms:.0f} ms" for cost in dear]


def test_a_code_is_drawn_of_short_texts_only() -> None:
    assert qr_svg("https://pay.example.org/" + "a" * (MAX_QR_LENGTH - 24))
    assert qr_svg("https://pay.example.org/" + "a" * MAX_QR_LENGTH) == ""


@pytest.mark.parametrize(
    "text", ["release:" + "9" * 200_000, "release:0." + "0" * 200_000 + "1", "redirect:" + "c" * 200_000]
)
def test_an_order_of_any_length_is_refused_at_once(text: str) -> None:
    assert parse_order_text(text) is None
