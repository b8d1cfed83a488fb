"""Each named effect has the effect it names."""

import pytest

from stateless_billing.sandbox import effects
from stateless_billing.sandbox.answers import Delivery
from stateless_billing.sandbox.effects import EFFECTS, REASONS, Work


def test_every_effect_has_its_name() -> None:
    for name, made in EFFECTS.items():
        assert (made(5) if name == "wrong_date" else made()).name == name


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_a_rate_limit(reason: str) -> None:
    early = effects.limited(reason).early
    assert early is not None
    assert early.headers == {"Stripe-Rate-Limited-Reason": reason}


def test_other_reasons_do_not_exist() -> None:
    with pytest.raises(ValueError, match="mood"):
        effects.limited("mood")


def test_what_is_executed() -> None:
    assert effects.lost_after().work is effects.error_saved_done().work is Work.DONE
    assert effects.error_saved().work is effects.locked().work is Work.SKIPPED
    assert effects.error_saved_late().work is Work.LATER
    assert effects.lost_before().early is not None
    assert effects.gateway(executed=True).early is None


def test_how_answers_are_delivered() -> None:
    assert effects.lost_before().delivery is effects.lost_after().delivery is Delivery.LOST
    assert effects.cut().delivery is Delivery.CUT
    assert effects.closed_after().delivery is Delivery.CLOSED
    assert effects.shortened().delivery is Delivery.WHOLE
