"""`python -m tests.stripe_check`: contract tests and open questions, asked of Stripe itself with a sandbox key.

STRIPE_TEST_KEY is a secret key of a sandbox or test mode; STRIPE_TEST_RESTRICTED_KEY, if set, a restricted key of the
same account that may write customer balance transactions and not customers. Everything made is deleted at the end.
Exits 0 if all is as assumed, 1 if something differs, 2 without a key, 3 if something could not be asked.
"""

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.localchain import ROOT
from tests.stripe_check.account import STRIPE, opened
from tests.stripe_check.questions import QUESTIONS, Answer, Question, Verdict

CONTRACT = "tests/sandbox/test_contract.py"
NOT_LIVE = re.compile(r"[sr]k_test_\w+")


def main(environ: Mapping[str, str]) -> int:
    """Run both parts; the exit code."""
    secret, restricted = environ.get("STRIPE_TEST_KEY", ""), environ.get("STRIPE_TEST_RESTRICTED_KEY", "")
    for name, key in (("STRIPE_TEST_KEY", secret), ("STRIPE_TEST_RESTRICTED_KEY", restricted)):
        if key and not NOT_LIVE.fullmatch(key):
            print(f"{name} is not a key of a test mode or sandbox (sk_test_…, rk_test_…). Nothing was asked.")
            return 2
    if not secret:
        print(
            "Set STRIPE_TEST_KEY to the secret key of a sandbox (sk_test_…). It would run the contract tests, and ask:"
        )
        for question in QUESTIONS:
            print(f"\n{question.text}\n  we assume  {question.assumption}")
        return 2
    tests = processes.run(
        [sys.executable, "-m", "pytest", CONTRACT, "-n", "0", "-q", "--no-header"],
        cwd=ROOT,
        env={**environ, "LOOPBACK_EXCEPT": urlsplit(environ.get("STRIPE_TEST_BASE", STRIPE)).hostname or ""},
    )
    print(f"Contract tests: {tests.stdout.strip().splitlines()[-1]}")
    if tests.returncode:
        print(tests.stdout, tests.stderr)
    verdicts = asyncio.run(ask_all(secret, environ.get("STRIPE_TEST_BASE", STRIPE), restricted))
    if tests.returncode or Verdict.DIFFERENT in verdicts:
        return 1
    return 3 if Verdict.OPEN in verdicts else 0


async def ask_all(secret: str, base: str, restricted_key: str) -> list[Verdict]:
    """Ask every question and print the answers; delete what was made, whatever happens."""
    verdicts = []
    async with opened(secret, base, restricted_key) as account:
        try:
            for question in QUESTIONS:
                try:
                    answer = await question.ask(account)
                except httpx.HTTPError as error:
                    answer = Answer(Verdict.OPEN, describe(error))
                report(question, answer)
                verdicts.append(answer.verdict)
        finally:
            if remaining := await account.clean_up():
                print(f"\nNot deleted, do it in the Dashboard: {', '.join(remaining)}")
                verdicts.append(Verdict.OPEN)
            else:
                print("\nEvery customer whose creation was answered is deleted.")
    return verdicts


def describe(error: httpx.HTTPError) -> str:
    """Say what failed, without the request."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    return type(error).__name__


def report(question: Question, answer: Answer) -> None:
    """Print one answer."""
    print(f"\n{question.text}\n  we assume  {question.assumption}\n  Stripe     {answer.text}\n  {answer.verdict}")


if __name__ == "__main__":
    raise SystemExit(main(os.environ))
