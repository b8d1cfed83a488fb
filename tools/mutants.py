"""Makes each mistake of contracts/mutants.toml in a copy of the contracts and reports which test catches it.

With --proofs: which check over all inputs refutes it. Exit code 1 if a mutant survives, 2 if the list does not match
the contracts. Other arguments select mutants by name.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import prove

ROOT = Path(__file__).resolve().parents[1]
UNIT, INVARIANTS = ["--no-match-contract", "Invariants"], ["--match-contract", "Invariants"]
SKIPPED = [
    "--skip",
    "*/script/**",
    "--skip",
    "*/Deploy.t.sol",
]  # they embed the gateway's code and would be recompiled each time


class Workbench:
    """A copy of contracts/ and tools/ in which sources can be changed and the tests run."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(ROOT / "tools", folder / "tools")
        shutil.copytree(
            ROOT / "contracts", folder / "contracts", symlinks=True, ignore=shutil.ignore_patterns("out", "cache")
        )
        (folder / "node_modules").symlink_to(ROOT / "node_modules")
        self.folder = folder

    def source(self, file: str) -> Path:
        """Return the path of a contract's source in the copy."""
        return self.folder / "contracts" / "src" / file

    def test(self, only: list[str]) -> str | None:
        """Run the tests and return the first that fails, or None."""
        done = subprocess.run(  # noqa: S603 - our own tool
            [self.folder / "tools" / "forge", "test", "--fail-fast", *SKIPPED, *only],
            env={**os.environ, "FOUNDRY_PROFILE": "mutants"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return None
        if "Compiler run failed" in done.stdout + done.stderr:
            raise SystemExit(f"a mutant does not compile:\n{done.stdout}{done.stderr}")
        suite = re.findall(
            r"^Ran \d+ tests? for \S+:(\w+)(?:(?!^Ran ).)*?^\[FAIL", done.stdout, re.MULTILINE | re.DOTALL
        )
        failed = re.search(r"^\[FAIL.*\] (\w+)\(|^ (invariant_\w+)\(", done.stdout, re.MULTILINE)
        if not failed or not suite:
            raise SystemExit(f"forge failed without a failing test:\n{done.stdout}{done.stderr}")
        return f"{suite[0]}.{failed[1] or failed[2]}"

    def refute(self, likeliest: str) -> str | None:
        """Return the first check that is refuted, or None: the likeliest first, then all others at once."""
        suite = likeliest.partition(".")[0].removesuffix("Proof")
        if error := prove.build(self.folder, suite):
            raise SystemExit(f"a mutant does not compile:\n{error}")
        first = [check for check in prove.checks(self.folder, []) if check.name == likeliest]
        if any(self.refuted(first)):
            return likeliest
        if error := prove.build(self.folder):
            raise SystemExit(f"a mutant does not compile:\n{error}")
        others = [check for check in prove.checks(self.folder, []) if check.name != likeliest]
        return next(self.refuted(others), None)

    def refuted(self, checks: list[prove.Check]) -> Iterator[str]:
        """Yield the names of the checks that have a counterexample, and report those of which nothing is known."""
        for verdict in prove.decide_all(self.folder, checks):
            if verdict.decision == prove.REFUTED:
                yield verdict.check.name
            elif verdict.decision == prove.UNDECIDED:
                print(f"{verdict.check.name} is undecided: {verdict.reason}", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """Test the selected mutants and return the exit code."""
    words = [word for word in arguments if word != "--proofs"]
    proofs = "--proofs" in arguments
    mutants = tomllib.loads((ROOT / "contracts" / "mutants.toml").read_text())["mutant"]
    chosen = [mutant for mutant in mutants if all(word in mutant["name"] for word in words)]
    with tempfile.TemporaryDirectory(prefix="gateway-mutants-") as folder:
        bench = Workbench(Path(folder))
        for mutant in chosen:
            file = mutant.get("file", "PaymentGateway.sol")
            if bench.source(file).read_text().count(mutant["old"]) != 1:
                print(f"{mutant['name']}: its text does not occur exactly once in {file}", file=sys.stderr)
                return 2
        if not proofs and (failing := bench.test([])):
            print(f"{failing} fails without any mutant", file=sys.stderr)
            return 2
        survivors = sum(not is_killed(bench, mutant, proofs=proofs) for mutant in chosen)
    print(f"\n{len(chosen)} mutants, {len(chosen) - survivors} killed, {survivors} alive")
    return 1 if survivors else 0


def is_killed(bench: Workbench, mutant: dict[str, str], *, proofs: bool) -> bool:
    """Return whether the tests catch this mutant, or the proofs refute it, and print the result."""
    source = bench.source(mutant.get("file", "PaymentGateway.sol"))
    right = source.read_text()
    source.write_text(right.replace(mutant["old"], mutant["new"]))
    try:
        killer = bench.refute(mutant["proof"]) if proofs else bench.test(UNIT) or bench.test(INVARIANTS)
    finally:
        source.write_text(right)
    print(f"{mutant['name']:<66} {killer or 'ALIVE'}", flush=True)
    return killer is not None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
