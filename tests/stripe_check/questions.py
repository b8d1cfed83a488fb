"""The open questions: how each is asked, and what the stand-in assumes."""

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

import httpx

from tests.stripe_check.account import TestAccount, ledger

_ROWS = 8
_BURST = 60
_PAST_SECONDS = 10 * 24 * 3600
_REPLAYED = "idempotent-replayed"


class Verdict(StrEnum):
    """How an answer compares with the assumption."""

    SAME = "as assumed"
    DIFFERENT = "DIFFERENT"
    OPEN = "not answered"


@dataclass(frozen=True)
class Answer:
    """What Stripe does, in a sentence."""

    verdict: Verdict
    text: str


@dataclass(frozen=True)
class Question:
    """A question, what the stand-in assumes, and how to ask."""

    name: str
    text: str
    assumption: str
    ask: Callable[[TestAccount], Awaitable[Answer]]


def judged(is_same: bool, text: str) -> Answer:
    """Create an answer."""
    return Answer(Verdict.SAME if is_same else Verdict.DIFFERENT, text)


async def _same_second(account: TestAccount) -> Answer:
    customer = await account.customer()
    written = [await account.credit(customer) for _ in range(_ROWS)]
    listed = await account.entries(customer)
    seconds = [row["created"] for row in written]
    if len(set(seconds)) == len(seconds):
        return Answer(Verdict.OPEN, "no two of the entries have the same second: run it from a faster line")
    expected = [row["id"] for row in reversed(written)]
    is_same = [row["id"] for row in listed] == expected
    order = "the entry written last comes first" if is_same else "another order than that of writing, reversed"
    return judged(is_same, f"{order}, over {_ROWS} entries in {len(set(seconds))} seconds")


async def _list_after_write(account: TestAccount) -> Answer:
    customer = await account.customer()
    missed = 0
    for _ in range(_ROWS):
        entry = await account.credit(customer)
        page = await account.patiently("GET", ledger(customer), {"limit": "1"})
        missed += not page["data"] or page["data"][0]["id"] != entry["id"]
    return judged(not missed, f"{_ROWS - missed} of {_ROWS} lists show the entry written just before")


async def _created_filter(account: TestAccount) -> Answer:
    customer = await account.customer()
    first = await account.credit(customer)
    for _ in range(_ROWS - 1):
        await account.credit(customer)
        await asyncio.sleep(0.3)
    everything = [row["id"] for row in await account.entries(customer)]
    filtered = [row["id"] for row in await account.entries(customer, **{"created[gte]": str(first["created"])})]
    return judged(filtered == everything, f"{len(filtered)} of {len(everything)} entries, in pages of two")


async def _key_of_other_path(account: TestAccount) -> Answer:
    first, other, key = await account.customer(), await account.customer(), str(uuid.uuid4())
    fields = {"amount": "-1", "currency": "usd"}
    await account.send("POST", ledger(first), fields, key=key)
    again = await account.send("POST", ledger(other), fields, key=key)
    written = len(await account.entries(other))
    return judged(
        again.status_code == httpx.codes.BAD_REQUEST and not written,
        f"HTTP {again.status_code}, {written} entries at the other customer",
    )


async def _key_of_other_secret(account: TestAccount) -> Answer:
    if not account.restricted_key:
        return Answer(Verdict.OPEN, "set STRIPE_TEST_RESTRICTED_KEY")
    customer, key = await account.customer(), str(uuid.uuid4())
    fields = {"amount": "-1", "currency": "usd"}
    await account.send("POST", ledger(customer), fields, key=key)
    again = await account.send("POST", ledger(customer), fields, key=key, secret=account.restricted_key)
    if again.status_code == httpx.codes.FORBIDDEN:
        return Answer(Verdict.OPEN, "the restricted key may not write customer balance transactions: let it")
    written = len(await account.entries(customer))
    text = f"HTTP {again.status_code}, replayed: {again.headers.get(_REPLAYED, 'no')}, {written} entries"
    return judged(written == 1 and _REPLAYED in again.headers, text)


async def _test_clock(account: TestAccount) -> Answer:
    frozen_time = int(time.time()) - _PAST_SECONDS
    try:
        clock = await account.test_clock(frozen_time)
    except httpx.HTTPStatusError as error:
        return Answer(Verdict.OPEN, f"no test clock can be made: HTTP {error.response.status_code}")
    entry = await account.credit(await account.customer(test_clock=clock))
    distance = abs(entry["created"] - frozen_time)
    return judged(distance < _PAST_SECONDS // 2, f"`created` is {distance} s from the clock's frozen time")


async def _saved_429(account: TestAccount) -> Answer:
    customer = await account.customer()
    fields = {"amount": "-1", "currency": "usd"}
    keys = [str(uuid.uuid4()) for _ in range(_BURST)]
    answers = await asyncio.gather(*(account.send("POST", ledger(customer), fields, key=key) for key in keys))
    limited = [
        key for key, answer in zip(keys, answers, strict=True) if answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    ]
    if not limited:
        return Answer(Verdict.OPEN, f"none of {_BURST} requests at once got a 429")
    codes = {answer.json()["error"].get("code") for answer in answers if answer.status_code != httpx.codes.OK}
    await asyncio.sleep(2)
    again = await account.send("POST", ledger(customer), fields, key=limited[0])
    text = f"{len(limited)} of {_BURST} got 429 ({', '.join(sorted(map(str, codes)))}); the same key later:"
    return judged(again.is_success and _REPLAYED not in again.headers, f"{text} HTTP {again.status_code}")


async def _deleted_customer(account: TestAccount) -> Answer:
    customer = await account.customer()
    entry = await account.credit(customer)
    await account.patiently("DELETE", f"/v1/customers/{customer}")
    listed = await account.send("GET", ledger(customer))
    single = await account.send("GET", f"{ledger(customer)}/{entry['id']}")
    statuses = (listed.status_code, single.status_code)
    return judged(statuses == (404, 404), f"the list HTTP {statuses[0]}, the entry HTTP {statuses[1]}")


async def _permission_name(account: TestAccount) -> Answer:
    if not account.restricted_key:
        return Answer(Verdict.OPEN, "set STRIPE_TEST_RESTRICTED_KEY")
    refused = await account.send("POST", "/v1/customers/cus_Nobody", {"name": ""}, secret=account.restricted_key)
    if refused.status_code != httpx.codes.FORBIDDEN:
        return Answer(Verdict.OPEN, f"HTTP {refused.status_code}: the restricted key may write customers")
    names = sorted(set(re.findall(r"rak_\w+", refused.json()["error"]["message"])))
    return judged(names == ["rak_customer_write"], f"the error names {', '.join(names) or 'no permission'}")


QUESTIONS = (
    Question(
        "same_second",
        "In which order are entries of one second listed?",
        "the entry written last comes first; the service accepts either order",
        _same_second,
    ),
    Question(
        "list_after_write",
        "Does a list show an entry right after it was written?",
        "always; an absence is believed only after two equal readings",
        _list_after_write,
    ),
    Question(
        "created_filter",
        "Can a list with a `created` filter end early?",
        "no; the balances are checked as a chain all the same",
        _created_filter,
    ),
    Question(
        "key_of_other_path",
        "Is an idempotency key refused at another path?",
        "yes, 400 and nothing is written: a key belongs to the whole account",
        _key_of_other_path,
    ),
    Question(
        "key_of_other_secret",
        "Does an idempotency key hold for another API key of the account?",
        "yes, the answer is replayed and nothing is written again",
        _key_of_other_secret,
    ),
    Question(
        "test_clock",
        "Which `created` has an entry of a customer on a test clock?",
        "the clock's time, not ours: such customers are held",
        _test_clock,
    ),
    Question(
        "saved_429",
        "Is a 429 saved under its idempotency key?",
        "no: the same key is executed later",
        _saved_429,
    ),
    Question(
        "deleted_customer",
        "Who can read the entries of a deleted customer?",
        "nobody: 404 for the list and for the entry",
        _deleted_customer,
    ),
    Question(
        "permission_name",
        "What does Stripe call a missing permission?",
        "`rak_customer_write` for customers; `doctor` shows the message and matches nothing",
        _permission_name,
    ),
)
