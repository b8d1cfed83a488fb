"""Architecture rules: allowed imports, banned patterns with their replacements, and size limits."""

import ast
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path

from stateless_billing.sandbox import processes
from stateless_billing.settings import Settings

ROOT = Path(__file__).parents[1]
CODE = sorted([ROOT / "app.py", *(ROOT / "chain").rglob("*.py"), *(ROOT / "stateless_billing").rglob("*.py")])
SANDBOX = ROOT / "stateless_billing" / "sandbox"
SERVICE = [path for path in CODE if SANDBOX not in path.parents]
PRODUCTION = [path for path in SERVICE if path.name != "__init__.py"]

LAYERS = (
    ("chain", "stateless_billing.runtime", "stateless_billing.version"),
    ("stateless_billing.domain",),
    ("stateless_billing.assumptions", "stateless_billing.setting_urls"),
    ("stateless_billing.stripe", "stateless_billing.operators", "stateless_billing.setting_rules"),
    ("stateless_billing.bookkeeping", "stateless_billing.settings"),
    ("stateless_billing.pricing", "stateless_billing.grants"),
    ("stateless_billing.crediting",),
    ("stateless_billing.payers", "stateless_billing.support", "stateless_billing.sweep", "stateless_billing.audit"),
    ("stateless_billing.services",),
    ("stateless_billing.web", "stateless_billing.doctor"),
    ("app",),
    ("stateless_billing.commands",),
    ("stateless_billing.__main__",),
)
"""The units of the service, lowest layer first: a unit imports from lower layers only."""

INNER_LAYERS = (
    (
        ("stateless_billing.web.http",),
        ("stateless_billing.web.server",),
        ("stateless_billing.web.api",),
        ("stateless_billing.web.pages",),
        ("stateless_billing.web.operators",),
        ("stateless_billing.web.desk",),
        ("stateless_billing.web.decisions",),
        ("stateless_billing.web.operators_routes",),
        ("stateless_billing.web.page_routes",),
        ("stateless_billing.web.routes",),
    ),
    (("stateless_billing.audit.rules",), ("stateless_billing.audit.report",), ("stateless_billing.audit.readers",)),
)
"""Layers within `web` and `audit`, lowest first."""

PURE = (
    "stateless_billing.domain",
    "stateless_billing.audit.rules",
    "stateless_billing.stripe.errors",
    "stateless_billing.stripe.objects",
    "stateless_billing.stripe.eligibility",
    "stateless_billing.crediting.payment_status",
    "stateless_billing.operators.roster",
    "stateless_billing.pricing.rates",
    "stateless_billing.grants.caps",
    "stateless_billing.grants.forms",
    "chain.payment",
    "chain.decoding",
    "chain.errors",
)
"""Packages and modules without I/O."""

FEWEST_FILES, MOST_FILES = 3, 10
SMALL = {"stateless_billing.web": 2, "stateless_billing": 2}  # what holds packages
LATE = ("web3", "eth_account", "eth_utils", "eth_abi", "eth_keys")
HEAVY = ("starlette", "stripe", "httpx", "uvicorn", "jinja2", *LATE)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path, *, late: bool = True) -> set[str]:
    """Return the modules a file imports; without `late`, only those at module level."""
    tree = tree_of(path)
    names = set()
    for node in ast.walk(tree) if late else tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def reaches(path: Path, *prefixes: str, late: bool = True) -> set[str]:
    return {
        module
        for module in imports(path, late=late)
        if any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)
    }


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def unit_of(module: str, layers: Sequence[Sequence[str]]) -> tuple[int, str] | None:
    """Return the layer and unit of a module; None if it is not in the table."""
    for layer, units in enumerate(layers):
        for unit in units:
            if within(module, unit):
                return layer, unit
    return None


def upward(path: Path, layers: Sequence[Sequence[str]]) -> set[str]:
    """Return the imports of a file that neither go to a lower layer nor stay in its unit."""
    mine = unit_of(name_of(path), layers)
    if mine is None:
        return set()
    violations = set()
    for imported in imports(path):
        other = unit_of(imported, layers)
        if other and other[1] != mine[1] and other[0] >= mine[0]:
            violations.add(imported)
    return violations


def for_each(paths: Iterable[Path]) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """Make a rule for one file a test of all of these files that names each that breaks it."""

    def decorate(rule: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            files, broken = list(paths), {}
            for path in files:
                try:
                    rule(path)
                except AssertionError as error:
                    broken[str(path.relative_to(ROOT))] = str(error)
            assert files
            assert not broken

        test.__name__ = rule.__name__
        return test

    return decorate


@for_each(PRODUCTION)
def test_every_module_has_its_layer(path: Path) -> None:
    assert unit_of(name_of(path), LAYERS), "assign it to a layer of the table"


@for_each(SERVICE)
def test_imports_go_to_lower_layers_only(path: Path) -> None:
    assert not upward(path, LAYERS)
    for layers in INNER_LAYERS:
        assert not upward(path, layers)


@for_each(SERVICE)
def test_who_may_import_whom(path: Path) -> None:
    module = name_of(path)
    assert not reaches(path, "stateless_billing.sandbox"), "the service never imports its stand-ins"
    if within(module, "chain"):
        assert not reaches(path, "stateless_billing"), "chain/ knows nothing of billing"
    if module != "stateless_billing.stripe.sdk":
        assert not reaches(path, "stripe"), "stripe/sdk.py alone imports the SDK"
    if module != "stateless_billing.stripe.client":
        assert not reaches(path, "stateless_billing.stripe.sdk"), "stripe/client.py alone talks to Stripe"
    if not within(module, "stateless_billing.audit"):
        readers = "stateless_billing.audit.readers"
        assert not reaches(path, f"{readers}.bulk_http", f"{readers}.bulk_connection"), (
            "only the audit, which never writes"
        )


@for_each([path for path in SERVICE if within(name_of(path), *PURE)])
def test_pure_modules_do_no_io(path: Path) -> None:
    assert not reaches(path, *HEAVY, "asyncio", "socket", "time"), "a pure module does no I/O"
    assert not any(isinstance(node, ast.AsyncFunctionDef) for node in functions(path)), (
        "a pure module has no coroutines"
    )
    modules = {
        imported
        for imported in reaches(path, "stateless_billing", "chain")
        if (ROOT / (imported.replace(".", "/") + ".py")).exists()
    }
    assert all(within(imported, *PURE) for imported in modules), "a pure module imports pure modules only"


def test_the_tour_shows_the_layers() -> None:
    rows = re.findall(r"^\| (\d+) \| `([\w/.]+)` \|", (ROOT / "docs" / "code.md").read_text(), re.MULTILINE)
    documented = {(int(layer), path.removesuffix(".py").replace("/", ".")) for layer, path in rows}
    assert documented == {(layer, unit) for layer, units in enumerate(LAYERS, 1) for unit in units}


def test_packages_have_three_to_ten_files() -> None:
    packages = Counter(name_of(path).rpartition(".")[0] for path in PRODUCTION if "." in name_of(path))
    for package, files in packages.items():
        assert SMALL.get(package, FEWEST_FILES) <= files <= MOST_FILES, (package, files)


@for_each(SERVICE)
def test_slow_packages_are_imported_late(path: Path) -> None:
    assert not reaches(path, *LATE, late=False), "import it where it is first used"


def test_listening_imports_nothing_of_the_service() -> None:
    code = "import stateless_billing.commands.cli, app, sys; print(*sys.modules)"
    loaded = set(processes.run([sys.executable, "-c", code], cwd=ROOT, check=True).stdout.split())
    assert "stateless_billing.web.server.loading" in loaded
    for name in (
        "stripe",
        "httpx",
        "jinja2",
        "eth_account",
        "web3",
        "chain.provider",
        "stateless_billing.services.container",
        "stateless_billing.web.routes",
        "stateless_billing.audit.command",
        "stateless_billing.commands.register",
    ):
        assert name not in loaded, f"{name} delays the first answer of every start: import it where it is used"


# Orchestration and I/O shells have no unit tests: tests/integration and tests/browser run them as processes.
RUN_WHOLE = (
    "app",
    "stateless_billing.__main__",
    "stateless_billing.commands.cli",
    "stateless_billing.services",
    "stateless_billing.web",
    "stateless_billing.doctor",
    "stateless_billing.payers",
    "stateless_billing.support",
    "stateless_billing.stripe.lookups",
    "stateless_billing.pricing.rate_overrides",
    "stateless_billing.grants.forms",
    "stateless_billing.bookkeeping.entry_writer",
    "stateless_billing.bookkeeping.reversals",
    "stateless_billing.bookkeeping.orders",
    "stateless_billing.crediting",
    "stateless_billing.sweep.sweeper",
    "stateless_billing.sweep.cursors",
    "stateless_billing.audit.readers.ledgers",
    "stateless_billing.audit.collector",
    "stateless_billing.audit.command",
    "stateless_billing.audit.repair",
    "stateless_billing.audit.surplus_choice",
)


BANNED = {
    r"\bfloat\(|/ 100\b": ("money: integers and Fractions", {"stateless_billing.domain.money"}),
    r"datetime\.now|time\.time\b": ("the clock argument", {"stateless_billing.runtime.clock"}),
    r"os\.environ": ("settings", {"stateless_billing.settings"}),
    r"\bprint\(": ("logging; only commands print", {"stateless_billing.commands.cli"}),
    r"search_async": ("a list: search lags", {"stateless_billing.stripe.client", "stateless_billing.stripe.lookups"}),
    r"TODO|FIXME|XXX": ("an issue", set()),
}


@for_each(SERVICE)
def test_what_is_banned_has_a_replacement(path: Path) -> None:
    for pattern, (replacement, exempt) in BANNED.items():
        if name_of(path) not in exempt:
            match = re.search(pattern, path.read_text())
            assert not match, f"instead of {match[0]} use {replacement}"


def test_search_is_used_for_look_up_and_bookkeeping_only() -> None:
    users = {
        search: {name_of(path) for path in SERVICE if search in path.read_text()}
        for search in ("search_metadata", "find_wallet_holders")
    }
    records = "stateless_billing.bookkeeping.records"
    assert users == {
        "search_metadata": {"stateless_billing.stripe.lookups", records},
        "find_wallet_holders": {
            records,
            "stateless_billing.payers.accounts",
            "stateless_billing.support.customer_search",
            "stateless_billing.support.wallet_conflicts",
        },
    }, "search lags: list instead"


@for_each(sorted((ROOT / "static").rglob("*.*")))
def test_pages_build_nodes(path: Path) -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", path.read_text()), "use textContent"


@for_each(sorted((ROOT / "tests").rglob("test_*.py")))
def test_tests_use_fakes_not_patches(path: Path) -> None:
    assert not reaches(path, "unittest.mock"), "pass a fake through the constructor"


@for_each(sorted((ROOT / "tests" / "outsider").rglob("*.py")))
def test_the_outsiders_kit_shares_no_code(path: Path) -> None:
    assert not reaches(path, "app", "chain", "stateless_billing"), "it knows the service by its public interfaces only"
    of_tests = reaches(path, "tests")
    assert all(within(module, "tests.outsider") for module in of_tests), "it shares no code with other tests"


@for_each(CODE)
def test_sizes(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= (100 if path.name == "app.py" else 300), f"{lines} lines: one subject per file"
    for function in functions(path):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= 50, f"{function.name} has {length} lines: split it"


@for_each(CODE)
def test_every_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), "a module begins with a one-line docstring"


@cache
def imported_by_tests() -> set[str]:
    return set().union(*(imports(test) for test in (ROOT / "tests").rglob("*.py")))


@for_each(PRODUCTION)
def test_every_module_has_its_tests(path: Path) -> None:
    module = name_of(path)
    assert module in imported_by_tests() or module.startswith(RUN_WHOLE), "write tests for it, in a file of its name"


def test_settings_are_documented() -> None:
    documented = re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(field.name.upper() for field in fields(Settings))


def test_secrets_are_never_shown() -> None:
    secret = {field.name for field in fields(Settings) if field.metadata["secret"]}
    assert secret == {"stripe_api_key", "rpc_urls", "signer_key", "coingecko_api_key", "credit_hook_secret"} | {
        *("session_secrets", "resend_api_key", "credit_hook_url"),
    }
    assert not {field.name for field in fields(Settings) if field.repr} & secret


def test_the_committed_abi_is_the_compiled_one() -> None:
    compiled = json.loads((ROOT / "contracts/out/PaymentGateway.sol/PaymentGateway.json").read_text())["abi"]
    assert json.loads((ROOT / "chain/abi/PaymentGateway.json").read_text()) == compiled, "run `make contracts` and copy"


@for_each([*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))])
def test_named_paths_exist(path: Path) -> None:
    made = ("contracts/out/", ".venv")  # made by make
    for named in re.findall(r"[`(]((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:md|py|txt|toml))[`)#]", path.read_text()):
        if not named.startswith(made):
            assert (ROOT / named).exists() or (path.parent / named).exists(), f"{named} does not exist"


def test_the_repository_speaks_of_the_project_alone() -> None:
    lock = (ROOT / "package-lock.json").read_text()
    assert '"resolved"' not in lock, "registry addresses do not belong in the lock file"
