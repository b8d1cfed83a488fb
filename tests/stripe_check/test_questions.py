"""Stripe is asked, and left as it was: played against the stand-in."""

import asyncio
import os
import sys

import pytest

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.api_keys import BALANCE_WRITE, CUSTOMER_READ, DEFAULT_KEY, ApiKey
from stateless_billing.sandbox.effects import Effect
from stateless_billing.sandbox.limits import rate_limited
from stateless_billing.sandbox.localchain import ROOT
from stateless_billing.sandbox.sandbox import Sandbox
from stateless_billing.sandbox.server import serving
from tests.stripe_check.__main__ import NOT_LIVE, main
from tests.stripe_check.account import opened
from tests.stripe_check.questions import QUESTIONS, Verdict

pytestmark = pytest.mark.anyio
RESTRICTED = "rk_test_restricted"


def stand_in() -> Sandbox:
    """Return a stand-in with the limits of a sandbox and a key that may not write customers."""
    made = Sandbox(seed=7)
    made.stripe.keys.add(ApiKey(RESTRICTED, permissions=frozenset({CUSTOMER_READ, BALANCE_WRITE})))
    return made


def living(sandbox: Sandbox) -> list[str]:
    """Return the customers that are not deleted."""
    return [customer.id for customer in sandbox.stripe.account.by_id.values() if not customer.deleted]


async def test_the_stand_in_does_what_it_assumes_and_nothing_stays_behind() -> None:
    sandbox = stand_in()
    async with serving(sandbox) as base:
        environ = {
            **os.environ,
            "STRIPE_TEST_KEY": DEFAULT_KEY,
            "STRIPE_TEST_RESTRICTED_KEY": RESTRICTED,
            "STRIPE_TEST_BASE": base,
        }
        command = [sys.executable, "-m", "tests.stripe_check"]
        done = await asyncio.to_thread(processes.run, command, cwd=ROOT, env=environ, timeout=120)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Contract tests: " in done.stdout
    assert " failed" not in done.stdout
    for question in QUESTIONS:
        answer = done.stdout.partition(question.text)[2].partition("\n\n")[0]
        assert question.assumption in answer
        verdict = Verdict.OPEN if question.name == "test_clock" else Verdict.SAME
        assert answer.strip().endswith(verdict), answer
    assert "Every customer whose creation was answered is deleted." in done.stdout
    assert DEFAULT_KEY not in done.stdout + done.stderr
    assert living(sandbox) == []
    assert len(sandbox.stripe.account.by_id) > len(QUESTIONS), "customers were made"


async def test_a_stripe_that_differs_is_reported_and_cleaned_up() -> None:
    sandbox = stand_in()
    sandbox.stripe.list_lag = 5.0
    by_name = {question.name: question for question in QUESTIONS}
    async with serving(sandbox) as base, opened(DEFAULT_KEY, base) as account:
        answer = await by_name["list_after_write"].ask(account)
        assert (answer.verdict, answer.text) == (Verdict.DIFFERENT, "0 of 8 lists show the entry written just before")
        sandbox.stripe.list_lag = 0.0
        sandbox.stripe.faults.add(Effect(early=rate_limited("global-rate")), method="POST", times=3)
        assert (await by_name["deleted_customer"].ask(account)).verdict is Verdict.SAME, "429s are waited for"
        for name in ("key_of_other_secret", "permission_name"):
            assert (await by_name[name].ask(account)).verdict is Verdict.OPEN
        assert living(sandbox)
        assert await account.clean_up() == []
    assert living(sandbox) == []


@pytest.mark.parametrize(
    ("environ", "printed"),
    [
        ({}, "Set STRIPE_TEST_KEY"),
        ({"STRIPE_TEST_KEY": "sk_" + "live_x"}, "STRIPE_TEST_KEY is not a key of a test mode or sandbox"),
        ({"STRIPE_TEST_KEY": "whsec_x"}, "STRIPE_TEST_KEY is not a key"),
        (
            {"STRIPE_TEST_KEY": "sk_test_x", "STRIPE_TEST_RESTRICTED_KEY": "rk_" + "live_x"},
            "STRIPE_TEST_RESTRICTED_KEY",
        ),
    ],
)
def test_without_a_sandboxs_key_nothing_is_asked(
    environ: dict[str, str], printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(environ) == 2
    out = capsys.readouterr().out
    assert out.startswith(printed)
    assert all((question.text in out) != bool(environ) for question in QUESTIONS)
    assert "live_x" not in out
    assert NOT_LIVE.fullmatch("rk_test_51x")
