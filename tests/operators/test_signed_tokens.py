"""Tokens are valid for their purpose and time, under a current secret."""

import contextlib
import json
import random
from itertools import permutations

import pytest
from itsdangerous import URLSafeSerializer

from stateless_billing.operators.signed_tokens import BadToken, ExpiredToken, Tokens
from tests.fakes.factories import START, FakeClock

OLD, NEW, FOREIGN = (
    "an-old-secret-of-32-characters!!",
    "a-newer-secret-of-32-characters!",
    "somebody-else's-secret-of-32-ch!",
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tokens(clock: FakeClock) -> Tokens:
    return Tokens([OLD], clock)


def test_open_returns_the_values_and_their_time(tokens: Tokens) -> None:
    token = tokens.seal("session", {"who": "o'neil@example.org", "text": "‮שלום"})
    assert tokens.open("session", token, 60) == {"who": "o'neil@example.org", "text": "‮שלום", "at": START}


def test_values_cannot_set_the_time(tokens: Tokens) -> None:
    assert tokens.open("session", tokens.seal("session", {"at": START + 10**9}), 60)["at"] == START


def test_equal_values_and_times_give_equal_tokens(clock: FakeClock) -> None:
    first, second = Tokens([OLD], clock), Tokens([OLD], FakeClock(wall_time=START + 40.0))
    assert first.seal("link", {"minute": 7}, at=START) == second.seal("link", {"minute": 7}, at=START)


@pytest.mark.parametrize(("age", "valid"), [(-121, False), (-120, True), (0, True), (60, True), (61, False)])
def test_a_token_expires(tokens: Tokens, clock: FakeClock, age: int, valid: bool) -> None:
    token = tokens.seal("form", {})
    clock.wall_time = START + age
    if valid:
        assert tokens.open("form", token, 60) == {"at": START}
    else:
        with pytest.raises(ExpiredToken):
            tokens.open("form", token, 60)


def test_a_token_is_valid_only_for_its_purpose(tokens: Tokens) -> None:
    purposes = ["session", "link", "asked", "wallet", "form", "session/form", ""]
    for sealed, opened in permutations(purposes, 2):
        with pytest.raises(BadToken):
            tokens.open(opened, tokens.seal(sealed, {"who": "a"}), 60)


def test_an_altered_token_is_rejected_or_unchanged_in_meaning(tokens: Tokens) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    values = {"who": "admin@example.org"}
    token = tokens.seal("session", values)
    for index in range(len(token)):
        changed = token[:index] + rng.choice("AZaz09-_.~ é\0") + token[index + 1 :]
        with contextlib.suppress(BadToken):
            assert tokens.open("session", changed, 60) == {**values, "at": START}, changed


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "é", "\0", "x" * 100_000, ".eJw" * 10_000, "null", "\N{RIGHT-TO-LEFT OVERRIDE}"]
)
def test_unsigned_text_is_rejected(tokens: Tokens, text: str) -> None:
    with pytest.raises(BadToken):
        tokens.open("session", text, 60)


@pytest.mark.parametrize(
    "values", [None, [], "text", 7, {}, {"at": None}, {"at": True}, {"at": 1.5}, {"at": str(START)}]
)
def test_a_token_without_a_time_is_rejected(tokens: Tokens, values: object) -> None:
    serializer = tokens._serializer("session")
    assert isinstance(serializer, URLSafeSerializer)
    with pytest.raises(BadToken):
        tokens.open("session", str(serializer.dumps(json.loads(json.dumps(values)))), 60)


def test_secret_rotation(clock: FakeClock) -> None:
    before, between, after = Tokens([OLD], clock), Tokens([NEW, OLD], clock), Tokens([NEW], clock)
    old, new = before.seal("session", {"who": "a"}), between.seal("session", {"who": "a"})
    assert old != new
    assert new == after.seal("session", {"who": "a"})  # the newest signs
    assert between.open("session", old, 60) == between.open("session", new, 60)
    for tokens, token in ((before, new), (after, old), (Tokens([FOREIGN], clock), old), (Tokens([], clock), "")):
        with pytest.raises(BadToken):
            tokens.open("session", token, 60)
    assert between.code("code", "x") == after.code("code", "x")
    assert between.codes("code", "x") == after.codes("code", "x") + before.codes("code", "x")
    assert between.nonces("wallet", "x") == after.nonces("wallet", "x") + before.nonces("wallet", "x")


def test_codes_have_eight_characters_and_differ_by_purpose_text_and_secret(clock: FakeClock) -> None:
    tokens, other = Tokens([OLD], clock), Tokens([FOREIGN], clock)
    texts = [f"{name} {minute}" for name in ("a@b", "a@b1", "b@b") for minute in range(500)]
    codes = [source.code(purpose, text) for source in (tokens, other) for purpose in ("code", "cod") for text in texts]
    assert len(set(codes)) == len(codes)
    assert {len(code) for code in codes} == {8}
    assert set("".join(codes)) == set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
