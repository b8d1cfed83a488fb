"""Generates identifiers in Stripe's format, reproducible by seed."""

import random
import string

LETTERS = string.ascii_letters + string.digits


def _drawn(rng: random.Random, length: int) -> str:
    return "".join(rng.choices(LETTERS, k=length))


def customer_id(rng: random.Random) -> str:
    """`cus_` and 14 letters and digits."""
    return "cus_" + _drawn(rng, 14)


def transaction_id(rng: random.Random) -> str:
    """`cbtxn_1` and 23 letters and digits."""
    return "cbtxn_1" + _drawn(rng, 23)


def event_id(rng: random.Random) -> str:
    """`evt_1` and 23 letters and digits."""
    return "evt_1" + _drawn(rng, 23)


def request_id(rng: random.Random) -> str:
    """`req_` and 14 letters and digits."""
    return "req_" + _drawn(rng, 14)


def invoice_prefix(rng: random.Random) -> str:
    """Eight upper-case hex digits."""
    return f"{rng.getrandbits(32):08X}"


def uuid(rng: random.Random) -> str:
    """A version 4 UUID (the mailbox's message ids)."""
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
