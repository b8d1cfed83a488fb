"""What is told of a hash from memory: only what was kept, and only where all of it is final."""

from typing import Any, cast

import pytest

from chain.gateway import TxPayments
from chain.payment import Payment
from stateless_billing.domain.finality import Heads
from stateless_billing.payers.transaction_lookup import TransactionLookup
from tests.fakes.factories import FakeClock, block, payment
from tests.fakes.virtual_time import run_virtually


class Confirmations:
    async def heads(self) -> Heads:
        raise AssertionError("asked the chain")


def hashes() -> TransactionLookup:
    return TransactionLookup(
        nodes=cast("Any", None), gateways=[], confirmations=cast("Any", Confirmations()), clock=FakeClock()
    )


def told(*payments: Payment) -> TxPayments:
    return TxPayments(failed=False, payments=payments)


def heads(final: int) -> Heads:
    return Heads(block(200), block(150), block(final))


def test_what_is_final_is_told_without_asking() -> None:
    one, found = hashes(), told(payment())
    one.cache_final(payment().tx_hash, heads(payment().block), found)
    assert run_virtually(one.find(payment().tx_hash)) == (heads(payment().block), found)


def test_what_can_still_change_is_asked_again() -> None:
    one = hashes()
    one.cache_final(payment().tx_hash, heads(payment().block - 1), told(payment()))
    with pytest.raises(AssertionError, match="asked the chain"):
        run_virtually(one.find(payment().tx_hash))
