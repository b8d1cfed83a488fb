"""Style as a test: who may import whom, what is banned and what to use instead, and how large things may grow."""

import ast
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from stateless_billing.sandbox import processes
from stateless_billing.settings import Settings

ROOT = Path(__file__).parents[1]
CODE = sorted([ROOT / "app.py", *(ROOT / "chain").rglob("*.py"), *(ROOT / "stateless_billing").rglob("*.py")])
SANDBOX = ROOT / "stateless_billing" / "sandbox"
SERVICE = [path for path in CODE if SANDBOX not in path.parents]
PRODUCTION = [path for path in SERVICE if path.name != "__init__.py"]

PURE = {"money", "epochs", "ledger", "depth", "rates", "errors", "stripe_objects", "settings"} | {
    *("caps", "operators", "grant_forms", "balance_chain", "order_rules", "eligibility"),
}
PURE_AUDIT = {"statuses", "rows", "facts", "judging", "granted", "resolving", "planning", "selftest", "surplus"}
PURE_CHAIN = {"payment", "decoding", "errors", "calls"}
CORE = {f"stateless_billing.{name}" for name in PURE - {"settings"}} | {"chain.payment", "chain.errors"}
CORE |= {f"stateless_billing.audit.{name}" for name in PURE_AUDIT}
SHELL = (
    "stateless_billing.web",
    "stateless_billing.services",
    "stateless_billing.doctor",
    "app",
    "starlette",
    "uvicorn",
)
HEAVY = ("starlette", "stripe", "httpx", "uvicorn", "jinja2", "eth_account", "eth_utils", "eth_abi")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path, *, late: bool = True) -> set[str]:
    """The modules a file imports; without `late`, only those it imports when it is imported itself."""
    tree = tree_of(path)
    found = set()
    for node in ast.walk(tree) if late else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def reaches(path: Path, *prefixes: str, late: bool = True) -> set[str]:
    return {
        one
        for one in imports(path, late=late)
        if any(one == prefix or one.startswith(prefix + ".") for prefix in prefixes)
    }


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", SERVICE, ids=name_of)
def test_arrows_point_one_way(path: Path) -> None:
    module = name_of(path)
    assert not reaches(path, "stateless_billing.sandbox"), "the service never imports its stand-ins"
    if module.startswith("chain"):
        assert not reaches(path, "stateless_billing", "stripe"), "chain/ knows nothing of billing"
    if module != "stateless_billing.stripe_sdk":
        assert not reaches(path, "stripe"), "stripe_sdk alone imports the SDK"
    if module != "stateless_billing.stripe_ledger":
        assert not reaches(path, "stateless_billing.stripe_sdk"), "use stripe_ledger: it alone talks to Stripe"
    if module.startswith("stateless_billing.") and not module.startswith(
        ("stateless_billing.web", "stateless_billing.__", "stateless_billing.commands")
    ):
        allowed = ("stateless_billing.doctor", "stateless_billing.readiness")
        shell = [
            one
            for one in SHELL
            if not module.startswith(allowed) or one not in (*allowed, "stateless_billing.services")
        ]
        assert not reaches(path, *shell), "orchestration does not know the shell around it"


@pytest.mark.parametrize("path", [path for path in SERVICE if path.stem in PURE | PURE_CHAIN | PURE_AUDIT], ids=name_of)
def test_pure_modules_do_no_io(path: Path) -> None:
    assert not reaches(path, *HEAVY, "asyncio", "socket", "time"), "a pure module takes values and gives values"
    assert not any(isinstance(node, ast.AsyncFunctionDef) for node in functions(path)), "nothing pure waits"


@pytest.mark.parametrize("path", [path for path in SERVICE if path.stem in PURE | PURE_AUDIT], ids=name_of)
def test_the_core_imports_the_core_only(path: Path) -> None:
    ours = {
        one for one in reaches(path, "stateless_billing", "chain") if (ROOT / (one.replace(".", "/") + ".py")).exists()
    }
    assert ours <= CORE


@pytest.mark.parametrize("path", SERVICE, ids=name_of)
def test_slow_packages_are_imported_late(path: Path) -> None:
    assert not reaches(path, "eth_account", "eth_utils", "eth_abi", late=False), "import it where it is first used"


def test_the_start_does_not_wait_for_what_only_some_need() -> None:
    code = "import stateless_billing.commands, sys; print(*sys.modules)"
    loaded = set(processes.run([sys.executable, "-c", code], cwd=ROOT, check=True).stdout.split())
    assert "stripe" in loaded
    for name in (
        "requests",
        "jinja2",
        "eth_account",
        "stateless_billing.audit.command",
        "stateless_billing.registering",
    ):
        assert name not in loaded, f"{name} makes every start slower: load it where it is used"


# Orchestration and shell have no meaning alone: tests/integration and tests/browser run them as processes.
RUN_WHOLE = tuple(
    ["app", "stateless_billing.stripe_lookups"]
    + [f"stateless_billing.{name}" for name in ("grant_forms", "orders", "outcomes", "overrides", "reversals", "terms")]
    + [
        f"stateless_billing.{name}"
        for name in ("__main__", "commands", "accounts", "claims", "crediting", "doctor", "quotes")
    ]
    + [f"stateless_billing.{name}" for name in ("readiness", "receipts", "sealing", "services", "sweep", "web")]
    + [f"stateless_billing.{name}" for name in ("lookup", "stuck", "timeline", "writing", "order_checks")]
    + [f"stateless_billing.audit.{name}" for name in ("books", "collecting", "command", "repair", "surplus_choice")]
)


BANNED = {
    r"\bfloat\(|/ 100\b": ("money: integers and Fractions", {"stateless_billing.money"}),
    r"datetime\.now|time\.time\b": ("the clock argument", {"stateless_billing.clock"}),
    r"os\.environ": ("settings", {"stateless_billing.settings"}),
    r"\bprint\(": ("logging; only commands print", {"stateless_billing.commands"}),
    r"search_async": ("a list: search lags", {"stateless_billing.stripe_ledger", "stateless_billing.stripe_lookups"}),
    r"TODO|FIXME|XXX": ("an issue", set()),
}


@pytest.mark.parametrize("path", SERVICE, ids=name_of)
@pytest.mark.parametrize(("pattern", "rule"), BANNED.items())
def test_what_is_banned_has_a_replacement(path: Path, pattern: str, rule: tuple[str, set[str]]) -> None:
    replacement, exempt = rule
    if name_of(path) not in exempt:
        found = re.search(pattern, path.read_text())
        assert not found, f"instead of {found[0]} use {replacement}"


def test_search_is_used_for_look_up_and_bookkeeping_only() -> None:
    users = {name_of(path) for path in SERVICE if "search_metadata" in path.read_text()}
    assert users == {
        "stateless_billing.stripe_lookups",
        "stateless_billing.accounts",
        "stateless_billing.bookkeeping",
        "stateless_billing.lookup",
    }, "search lags: list instead"


@pytest.mark.parametrize("path", sorted((ROOT / "static").glob("*.*")), ids=lambda path: path.name)
def test_pages_build_nodes(path: Path) -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", path.read_text()), "use textContent"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=name_of)
def test_tests_use_fakes_not_patches(path: Path) -> None:
    assert not reaches(path, "unittest.mock"), "pass a fake through the constructor"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_sizes(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= (100 if path.name == "app.py" else 300), f"{lines} lines: one subject a file"
    for function in functions(path):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= 50, f"{function.name} has {length} lines: say it in smaller steps"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), "a module begins with one line that says what it holds"


@cache
def imported_by_tests() -> set[str]:
    return set().union(*(imports(test) for test in (ROOT / "tests").rglob("*.py")))


@pytest.mark.parametrize("path", PRODUCTION, ids=name_of)
def test_every_module_has_its_tests(path: Path) -> None:
    module = name_of(path)
    assert module in imported_by_tests() or module.startswith(RUN_WHOLE), "write tests for it, in a file of its name"


def test_settings_are_documented() -> None:
    documented = re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(field.name.upper() for field in fields(Settings))


def test_secrets_are_never_shown() -> None:
    secret = {field.name for field in fields(Settings) if field.metadata["secret"]}
    assert secret == {"stripe_api_key", "rpc_urls", "signer_key", "coingecko_api_key", "credit_hook_secret"} | {
        *("session_secrets", "resend_api_key"),
    }
    assert not {field.name for field in fields(Settings) if field.repr} & secret


def test_the_committed_abi_is_the_compiled_one() -> None:
    compiled = json.loads((ROOT / "contracts/out/PaymentGateway.sol/PaymentGateway.json").read_text())["abi"]
    assert json.loads((ROOT / "chain/abi/PaymentGateway.json").read_text()) == compiled, "run `make contracts` and copy"


@pytest.mark.parametrize(
    "path",
    [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))],
    ids=lambda path: path.name,
)
def test_named_paths_exist(path: Path) -> None:
    made = ("contracts/out/", ".venv")  # by make
    for named in re.findall(r"[`(]((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:md|py|txt|toml))[`)#]", path.read_text()):
        if not named.startswith(made):
            assert (ROOT / named).exists() or (path.parent / named).exists(), f"{named} is not there"


def test_the_repository_speaks_of_the_project_alone() -> None:
    lock = (ROOT / "package-lock.json").read_text()
    assert '"resolved"' not in lock, "registry addresses do not belong into the lock file"
