"""Proves each check of contracts/test/symbolic for all inputs, and prints what was decided.

Exit code 1 if a check is refuted or undecided, 2 if none is selected or it does not build. Arguments
are words that a check's name must have, all of them.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILT = Path("cache/prove/out")  # below contracts/
QUERY = "120s"  # for one question to the solver
CHECK_SECONDS = 900
WHOLE_SECONDS = 3_600
PROVEN, REFUTED, UNDECIDED = "proven", "REFUTED", "UNDECIDED"
FAILED = 5  # seen rarely, on a busy machine; the same question was then answered
TRIES = 3
REASONS = {2: "the solver ran out of time", 3: "a path ended unexpectedly", FAILED: "the prover failed"}


@dataclass(frozen=True)
class Check:
    """A `check_` function of a contract."""

    contract: str
    function: str

    @property
    def name(self) -> str:
        """What is printed and selected."""
        return f"{self.contract}.{self.function}"


@dataclass(frozen=True)
class Verdict:
    """What was decided about a check, and why nothing was."""

    check: Check
    decision: str
    reason: str
    paths: int
    seconds: float


def build(root: Path, *files: str) -> str | None:
    """Compile the checks, or these files of them; return the error, or None."""
    command = [root / "tools" / "forge", "build", "--quiet", *(f"test/symbolic/{file}.t.sol" for file in files)]
    done = subprocess.run(  # noqa: S603 - our own tool
        command, env={**os.environ, "FOUNDRY_PROFILE": "prove"}, capture_output=True, text=True, check=False
    )
    return f"{done.stdout}{done.stderr}" if done.returncode else None


def checks(root: Path, words: list[str]) -> list[Check]:
    """Return the checks that were built and whose names have all words."""
    every = []
    for artifact in sorted((root / "contracts" / BUILT).glob("*.t.sol/*Proof.json")):
        signatures = json.loads(artifact.read_text())["methodIdentifiers"]
        functions = sorted(signature.partition("(")[0] for signature in signatures)
        every += [Check(artifact.stem, name) for name in functions if name.startswith("check_")]
    return [check for check in every if all(word in check.name for word in words)]


def decide(root: Path, check: Check, limit: float) -> Verdict:
    """Let the prover decide a check within `limit` seconds. One that failed is asked again: it decided nothing."""
    end = time.monotonic() + limit
    for _ in range(TRIES):
        verdict = ask(root, check, max(0.1, end - time.monotonic()))
        if verdict.reason != REASONS[FAILED]:
            break
    return verdict


def ask(root: Path, check: Check, limit: float) -> Verdict:
    """Run the prover once on a check."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        answer = Path(folder) / "answer.json"
        try:
            subprocess.run(command(root, check, answer), capture_output=True, check=False, timeout=limit)  # noqa: S603
        except subprocess.TimeoutExpired:
            return Verdict(check, UNDECIDED, f"not done after {limit:.0f} s", 0, limit)
        seconds = time.monotonic() - began
        results = json.loads(answer.read_text())["test_results"] if answer.exists() else {}
    return meaning(check, [result for suite in results.values() for result in suite], seconds)


def command(root: Path, check: Check, answer: Path) -> list[str | Path]:
    """Return the prover's command line. Its solver is the one that was installed with it."""
    bin_folder = ROOT / ".venv-prove" / "bin"
    return [
        bin_folder / "python",
        ROOT / "tools" / "prover.py",
        "--root",
        root / "contracts",
        "--forge-build-out",
        str(BUILT),
        "--match-contract",
        f"^{check.contract}$",
        "--match-test",
        rf"^{check.function}\(",
        "--solver-command",
        f"{bin_folder / 'yices-smt2'} --smt2-model-format --bvconst-in-decimal",
        "--solver-timeout-assertion",
        QUERY,
        "--early-exit",
        "--no-status",
        "--json-output",
        answer,
    ]


def meaning(check: Check, results: list[dict], seconds: float) -> Verdict:
    """Return what the prover's answer means: a check whose paths were cut is not proven."""
    if len(results) != 1:
        return Verdict(check, UNDECIDED, "the prover gave no answer", 0, seconds)
    result = results[0]
    paths = (result["num_paths"] or [0])[0]
    if result["exitcode"] == 1:
        return Verdict(check, REFUTED, "there is a counterexample", paths, seconds)
    if result["exitcode"] == 4:
        return Verdict(check, REFUTED, "it always reverts", paths, seconds)
    if result["exitcode"] != 0:
        return Verdict(check, UNDECIDED, REASONS.get(result["exitcode"], "for an unknown reason"), paths, seconds)
    if result["num_bounded_loops"]:
        return Verdict(check, UNDECIDED, "a loop was cut", paths, seconds)
    return Verdict(check, PROVEN, "", paths, seconds)


def decide_all(root: Path, chosen: list[Check]) -> Iterator[Verdict]:
    """Decide the checks at once on all cores, and yield each verdict when it is there."""
    end = time.monotonic() + WHOLE_SECONDS
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = [
            pool.submit(lambda check: decide(root, check, min(CHECK_SECONDS, max(1, end - time.monotonic()))), check)
            for check in chosen
        ]
        for done in as_completed(waiting):
            yield done.result()


def main(words: list[str]) -> int:
    """Decide the selected checks and return the exit code."""
    began = time.monotonic()
    if error := build(ROOT):
        print(error, file=sys.stderr)
        return 2
    chosen = checks(ROOT, words)
    if not chosen:
        print("no check has all of these words in its name", file=sys.stderr)
        return 2
    counts = {PROVEN: 0, REFUTED: 0, UNDECIDED: 0}
    for item in decide_all(ROOT, chosen):
        counts[item.decision] += 1
        reason = f": {item.reason}" if item.reason else ""
        print(f"{item.check.name:<66} {item.decision}{reason} ({item.paths} paths, {item.seconds:.0f} s)", flush=True)
    total = sum(counts.values())
    listed = ", ".join(f"{count} {decision.lower()}" for decision, count in counts.items())
    print(f"\n{total} checks for all inputs: {listed}; {time.monotonic() - began:.0f} s")
    return 0 if total == counts[PROVEN] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
