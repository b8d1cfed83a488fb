"""Input at the edge: a body that does not fit is refused with its field, what it must be, and what to expect."""

import json
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from stateless_billing.domain.errors import ProblemError
from stateless_billing.web.api.requests import (
    ChallengeRequest,
    ClaimRequest,
    GrantForm,
    GrantStatusRequest,
    QuoteRequest,
    QuoteStatusRequest,
    RateRequest,
)
from stateless_billing.web.http.inputs import RequestBody, parse_tx_hash, parse_uint256, parse_wallet, read_body

pytestmark = pytest.mark.anyio

WALLET = "0x52908400098527886E0F7030069857D2E4169EE7"
QUOTE: dict[str, Any] = {"wallet": WALLET, "cents": 5_000}
AN_ADDRESS = "must be an address: 0x and 40 hex digits. No money moved."
NO_ADDRESSES: tuple[Any, ...] = (None, 5, [], {}, {"a": 1}, True, "", "0x", WALLET[:-1])
NO_CENTS: tuple[Any, ...] = (None, "5000", 50.0, 1.5, True, [], 0, -1, 10**9 + 1, 10**30)
CENTS = "`cents` must be a whole number from 1 to 1000000000. No money moved."


async def read(form: type[RequestBody], content: bytes, kind: str = "application/json") -> RequestBody:
    """Read a body that was sent."""

    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    return await read_body(Request({"type": "http", "headers": [(b"content-type", kind.encode())]}, receive), form)


async def refusal(form: type[RequestBody], content: bytes, kind: str = "application/json") -> tuple[str, str]:
    """Code and detail of the refusal of a body."""
    with pytest.raises(ProblemError) as caught:
        await read(form, content, kind)
    return caught.value.code, caught.value.detail


async def test_what_fits_is_read() -> None:
    assert await read(QuoteRequest, json.dumps(QUOTE).encode()) == QuoteRequest(wallet=WALLET, cents=5_000)
    with_payer = json.dumps(QUOTE | {"payer": WALLET}).encode()
    assert await read(QuoteRequest, with_payer) == QuoteRequest(wallet=WALLET, cents=5_000, payer=WALLET)
    without_payer = json.dumps(QUOTE | {"payer": None}).encode()
    assert await read(QuoteRequest, without_payer, "application/json; charset=x") == QuoteRequest(**QUOTE)
    assert await read(GrantForm, b"{}") == GrantForm()


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        *(({"wallet": value}, f"`wallet` {AN_ADDRESS}") for value in NO_ADDRESSES),
        *(({"payer": value}, f"`payer` {AN_ADDRESS}") for value in NO_ADDRESSES if value is not None),
        *(({"cents": value}, CENTS) for value in NO_CENTS),
        ({"more": 1}, "The body has a name that is not known here: 'more'. No money moved."),
        (
            {"é" * 99: 1},
            "The body has a name that is not known here: '" + 9 * "\\xe9" + "\\xe. No money moved.",
        ),
        (
            {"`\n at `$.wallet`": 1},
            "The body has a name that is not known here: '`\\n at `$.wallet`'. No money moved.",
        ),
    ],
)
async def test_a_field_that_does_not_fit_is_named_and_its_value_is_not_repeated(
    changes: dict[str, Any], detail: str
) -> None:
    assert await refusal(QuoteRequest, json.dumps(QUOTE | changes).encode()) == ("invalid_input", detail)


async def test_a_number_of_any_length_is_refused_for_its_size() -> None:
    body = f'{{"wallet": "{WALLET}", "cents": 1{"0" * 9_000}}}'.encode()
    assert await refusal(QuoteRequest, body) == ("invalid_input", CENTS)


@pytest.mark.parametrize(
    ("form", "body", "detail"),
    [
        (
            QuoteRequest,
            {},
            (
                "`wallet` must be an address: 0x and 40 hex digits. It is missing. No money moved. Send the wallet"
                " whose account is to be credited."
            ),
        ),
        (
            QuoteRequest,
            {"wallet": WALLET},
            (
                "`cents` must be a whole number from 1 to 1000000000. It is missing. No money moved. Send what is to be"
                " credited in cents, such as 2500 for $25.00."
            ),
        ),
        (QuoteRequest, {"wallet": None}, f"`wallet` {AN_ADDRESS}"),
        (
            ClaimRequest,
            {},
            (
                "`tx_hash` must be a transaction hash: 0x and 64 hex digits. It is missing. No money moved. Send"
                " the hash of the transaction that paid."
            ),
        ),
        (
            ClaimRequest,
            {"tx_hash": "0x"},
            "`tx_hash` must be a transaction hash: 0x and 64 hex digits. No money moved.",
        ),
        (
            ClaimRequest,
            {"tx_hash": ["0x"]},
            "`tx_hash` must be a transaction hash: 0x and 64 hex digits. No money moved.",
        ),
        (GrantForm, {"cents": 5}, "The body has a name that is not known here: 'cents'. Nothing was given."),
        (ChallengeRequest, {}, "`address` must be an address: 0x and 40 hex digits. It is missing. Nothing was done."),
        (GrantForm, {"note": 5}, "`note` must be a text. Nothing was given."),
        (GrantForm, {"again": "yes"}, "`again` must be true or false. Nothing was given."),
        (GrantStatusRequest, {"form": None}, "`form` must be a text. Nothing was done."),
        (
            RateRequest,
            {"rate": "1"},
            "`hours` must be a whole number from 1 to 24. It is missing. Nothing was changed.",
        ),
        (RateRequest, {"hours": 25}, "`hours` must be a whole number from 1 to 24. Nothing was changed."),
        (RateRequest, {"hours": 0}, "`hours` must be a whole number from 1 to 24. Nothing was changed."),
    ],
)
async def test_each_body_words_its_own_refusals(form: type[RequestBody], body: dict[str, Any], detail: str) -> None:
    assert await refusal(form, json.dumps(body).encode()) == ("invalid_input", detail)


@pytest.mark.parametrize("content", [b"[]", b"null", b"5", b'"text"', b"true", b"[" * 9_000])
async def test_a_body_is_an_object(content: bytes) -> None:
    assert await refusal(QuoteRequest, content) == ("bad_request", "The body must be a JSON object. No money moved.")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b'{"wallet": NaN}',
        b'{"wallet": "\\ud800"}',
        b'{"wallet": "\xff\xfe"}',
        b'{"wallet": "0x',
        b"\xef\xbb\xbf{}",
        json.dumps(QUOTE).encode() + b"x",
        json.dumps(QUOTE).encode("utf-16"),
    ],
)
async def test_a_body_is_well_formed(content: bytes) -> None:
    assert await refusal(QuoteRequest, content) == ("bad_request", "The body is not valid JSON. Nothing was done.")


async def test_a_body_says_that_it_is_json() -> None:
    for kind in ("", "text/plain", "application/jsonx"):
        assert (await refusal(QuoteRequest, b"{}", kind))[0] == "unsupported_media_type"


def test_a_newline_behind_an_address_or_a_hash_is_no_part_of_it() -> None:
    for parse, text in ((parse_wallet, WALLET), (parse_tx_hash, "0x" + "ab" * 32)):
        assert parse(text) == text.lower()
        with pytest.raises(ProblemError):
            parse(text + "\n")
    with pytest.raises(ProblemError, match="checksum"):
        parse_wallet(WALLET.replace("EE7", "eE7"))


async def test_a_newline_that_the_pattern_lets_through_is_refused_behind_it() -> None:
    body = await read(ClaimRequest, json.dumps({"tx_hash": "0x" + "ab" * 32 + "\n"}).encode())
    assert isinstance(body, ClaimRequest)
    with pytest.raises(ProblemError):
        parse_tx_hash(body.tx_hash)


STATUS: dict[str, Any] = {
    "gateway": WALLET,
    "wallet": WALLET,
    "sequence": 0,
    "amount": "1",
    "cents": 5_000,
    "deadline": 0,
    "signature": "0x" + "0" * 130,
}


async def test_a_quote_to_check_is_read_with_the_largest_values() -> None:
    largest = STATUS | {"sequence": 2**53 - 1, "deadline": 2**53 - 1, "amount": str(2**256 - 1), "cents": 10**9}
    assert await read(QuoteStatusRequest, json.dumps(largest).encode()) == QuoteStatusRequest(**largest)
    assert parse_uint256(str(2**256 - 1), "amount") == 2**256 - 1
    with pytest.raises(ProblemError, match="`amount` must be below 2"):
        parse_uint256(str(2**256), "amount")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("gateway", NO_ADDRESSES),
        ("wallet", NO_ADDRESSES),
        ("sequence", (None, "0", 0.5, True, -1, 2**53, 10**30)),
        ("deadline", (None, "0", 0.5, True, -1, 2**53, 10**30)),
        ("amount", (None, 1, "", "01", "-1", "+1", "1.0", "1e3", "0x1", " 1", "\u0661", "1" * 79)),
        ("cents", NO_CENTS),
        ("signature", (None, 1, "", "0x", "0" * 132, "0x" + "0" * 128, "0x" + "0" * 132, "0x" + "g" * 130)),
    ],
)
async def test_a_quote_to_check_is_refused_by_its_field(name: str, values: tuple[Any, ...]) -> None:
    for value in values:
        code, detail = await refusal(QuoteStatusRequest, json.dumps(STATUS | {name: value}).encode())
        assert (code, detail.split(" must be ")[0]) == ("invalid_input", f"`{name}`"), value
        assert detail.endswith("Nothing was decided.")
    missing = {field: value for field, value in STATUS.items() if field != name}
    assert (await refusal(QuoteStatusRequest, json.dumps(missing).encode()))[1].startswith(f"`{name}` must be")


@pytest.mark.parametrize("form", sorted(RequestBody.__subclasses__(), key=str))
@pytest.mark.parametrize("body", [b"[]", b'{"nobody knows this": 1}', b'{"form": 1, "tx_hash": 1, "hours": "x"}'])
async def test_every_refusal_of_a_body_says_what_became_of_the_money(form: type[RequestBody], body: bytes) -> None:
    _, detail = await refusal(form, body)
    assert form.consequence
    assert form.consequence in detail
