"""Locks by key live for as long as somebody holds them."""

import asyncio
import gc

from stateless_billing.runtime.keyed_locks import KeyedLocks


def test_one_lock_for_each_customer_while_somebody_holds_it() -> None:
    locks = KeyedLocks()
    held: asyncio.Lock | None = locks.lock("cus_a")
    assert locks.lock("cus_a") is held
    assert locks.lock("cus_b") is not held
    held = None
    gc.collect()
    assert not locks._locks
