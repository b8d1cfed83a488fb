"""KeyedLocks keeps one lock per key, and only while it is in use."""

import asyncio
import gc

from stateless_billing.runtime.keyed_locks import KeyedLocks


def test_one_lock_per_key_while_in_use() -> None:
    locks = KeyedLocks()
    held: asyncio.Lock | None = locks.lock("cus_a")
    assert locks.lock("cus_a") is held
    assert locks.lock("cus_b") is not held
    held = None
    gc.collect()
    assert not locks._locks
