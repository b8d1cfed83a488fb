"""Modules are bundled, compressed and served under content hashes."""

import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from stateless_billing.web.pages.assets import ENTRIES, STATIC, Assets, bundle


def test_modules_are_bundled_in_import_order() -> None:
    modules = {
        "x/a.js": (
            'import { two } from "./b.js";\nimport {\n  three,\n} from "../y/c.js";\n\nconst one = two + three;\n'
        ),
        "x/b.js": 'import { three } from "../y/c.js";\nexport const two = three - 1;\n',
        "y/c.js": "export const three = 3;\n",
        "c.js": "const unrelated = 4;\n",
    }
    lines = bundle(modules, "x/a.js").split("\n")
    assert [line for line in lines if line] == [
        "const three = 3;",
        "const two = three - 1;",
        "const one = two + three;",
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('import { a as b } from "./c.js";\n', "another name"),
        ('import { three } from "../c.js";\n', "does not exist"),
        ('import "./c.js";\n', "write"),
        ("export { x };\n", "write"),
        ("export default 1;\n", "write"),
        ("const [a, b] = [1, 2];\n", "write"),
        ('import { three } from "./c.js";\nfunction three() {}\n', "more than one module: three"),
    ],
)
def test_unsupported_modules_are_rejected(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bundle({"a.js": source, "c.js": "export const three = 3;\n"}, "a.js")


def test_scripts_and_sheets_are_compact(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("/** Why. */\n\n  // More.\nb (1);\n")
    (tmp_path / "a.css").write_text("/* Why */\np { }\n")
    assets = Assets(tmp_path, ["a.js"])
    assert (assets.plain("a.js"), assets.plain("a.css")) == (b"b(1);", b"p{}")


def test_a_sheet_is_joined_with_its_imports(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.css").write_text('@import "../b.css";\na {}\n')
    (tmp_path / "b.css").write_text("b {}\n")
    assert Assets(tmp_path, []).plain("a.css") == b"b{}a{}"
    (tmp_path / "b.css").unlink()
    with pytest.raises(ValueError, match="does not exist"):
        Assets(tmp_path, [])


def declarations(sheet: Path) -> set[tuple[str, str]]:
    """Return the declarations of a sheet's rules, outside of media queries, with their selectors."""
    rules = re.findall(r"^([^\s@}][^{}]*) \{([^}]*)\}", sheet.read_text(), re.MULTILINE)
    return {(" ".join(selector.split()), line.strip()) for selector, body in rules for line in body.split(";")}


def test_sheets_of_payers_and_operators_repeat_nothing_that_they_share() -> None:
    base = STATIC / "shared" / "base.css"
    for sheet in STATIC.rglob("*.css"):
        repeated = [] if sheet == base else [pair for pair in declarations(sheet) & declarations(base) if pair[1]]
        assert not repeated, sheet.name


def test_colors_are_tokens() -> None:
    for sheet in STATIC.rglob("*.css"):
        rules = sheet.read_text().partition("@media print")[0]
        colors = [line for line in rules.split("\n") if re.search(r":.*(?:#[0-9a-f]{3,8}\b|rgb\()", line)]
        assert [line for line in colors if not re.match(r"\s+--", line)] == [], sheet.name


def test_the_address_follows_the_content(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("p {}")
    before = Assets(tmp_path, []).url("a.css")
    (tmp_path / "a.css").write_text("q {}")
    assert Assets(tmp_path, []).url("a.css") != before
    with pytest.raises(KeyError):
        Assets(tmp_path, []).url("b.css")


def test_files_are_served_without_their_folder(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.css").write_text("p {}")
    assert Assets(tmp_path, []).names == ["a.css"]
    (tmp_path / "a.css").write_text("p {}")
    with pytest.raises(ValueError, match=r"served as a\.css"):
        Assets(tmp_path, [])


@pytest.mark.anyio
async def test_a_text_has_a_charset() -> None:
    assets = Assets()
    app = Starlette(routes=[Route("/static/{digest}/{name}", assets.serve)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        types = {name: (await client.get(assets.url(name))).headers["content-type"] for name in assets.names}
    assert not [name for name, kind in types.items() if not kind.endswith("; charset=utf-8")]


def test_every_module_belongs_to_a_page() -> None:
    modules = {path.relative_to(STATIC).as_posix(): path.read_text() for path in STATIC.rglob("*.js")}
    bundles = "".join(bundle(modules, entry) for entry in ENTRIES)
    for key, source in modules.items():
        body = re.split(r"^import [^;]*;\n", source, flags=re.MULTILINE)[-1]
        assert re.sub(r"^export ", "", body, flags=re.MULTILINE) in bundles, f"no page loads {key}"
