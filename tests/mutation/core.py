"""The mutated modules and the tests that must catch their mutants. Runs use a copy of the tree."""

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("chain", "stateless_billing", "tests", "contracts/src", "contracts/out", "pyproject.toml")
PYTEST = ("-x", "-q", "-n0", "-p", "no:cacheprovider", "-p", "tests.mutation.profile")
MODULES = {
    "chain.decoding": ("tests/chain/decoding", "tests/chain/test_abi.py"),
    "chain.payment": ("tests/chain/test_payment*.py",),
    "stateless_billing.grants.caps": ("tests/grants/test_caps*.py",),
    "stateless_billing.domain.finality": ("tests/domain/test_finality.py",),
    "stateless_billing.domain.epochs": ("tests/domain/test_epochs.py",),
    "stateless_billing.domain.ledger": ("tests/domain/test_ledger/test_*.py",),
    "stateless_billing.domain.money": ("tests/domain/test_money.py",),
    "stateless_billing.pricing.rates": ("tests/pricing/test_rates*.py",),
    "stateless_billing.stripe.objects": ("tests/stripe/test_objects*.py",),
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of one line, and whether a test caught it."""

    module: str
    was: str
    becomes: str
    killed: bool


def path_of(module: str) -> str:
    """Return a module's file, relative to the root."""
    return module.replace(".", "/") + ".py"


def tests_of(module: str) -> list[str]:
    """Return the test files of a module, relative to the root."""
    files = sorted(path for pattern in MODULES[module] for path in ROOT.glob(pattern))
    assert files, f"{module} has no tests"
    return [str(path.relative_to(ROOT)) for path in files]


def copy_tree(target: Path) -> None:
    """Copy the files that the tests of the core need."""
    for name in COPIED:
        source, copy = ROOT / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
        else:
            shutil.copy(source, copy)
