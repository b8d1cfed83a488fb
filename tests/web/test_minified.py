"""Scripts and sheets mean the same without their spaces and comments."""

import re
from pathlib import Path

import pytest
from rcssmin import cssmin
from rjsmin import jsmin

from stateless_billing.sandbox import processes
from stateless_billing.web.pages.assets import ENTRIES, STATIC, bundle
from tests.browser.chromium import node

SCRIPT = r"""
/** Says
 * something. */
const a = { b: 1, "c d": 2 }; // Why.

const url = "https://x/*", also = `a  //  ${ a.b }  "b"`;
function f (x) {
  return x + +a.b - -1 / 2;
}
const odd = [/[/ ]"/.test(url), (y) => /a b/.exec(y), 4 / 2 / 1];
let i = 1
i++
for (const z of [ 1 ]) void typeof z;
"""


def run(script: str) -> str:
    """Return what Node prints for the script's names."""
    shown = "console.log(JSON.stringify([a, url, also, f(1), odd.map(String), i, odd[1]('a b')]));"
    return processes.run([node(), "-e", script + shown], check=True).stdout


def test_script_does_the_same() -> None:
    compacted = jsmin(SCRIPT)
    assert run(compacted) == run(SCRIPT).replace("(y) => ", "(y)=>")
    assert compacted.startswith(
        'const a={b:1,"c d":2};const url="https://x/*",also=`a  //  ${ a.b }  "b"`;function f(x){'
    )
    assert "let i=1\ni++\n" in compacted


def test_a_returned_pattern_stays() -> None:
    assert jsmin("function i(x) {\n  return /a b/.test(x);\n}") == "function i(x){return/a b/.test(x);}"


@pytest.mark.parametrize("entry", ENTRIES)
def test_texts_of_our_scripts_stay(entry: str, tmp_path: Path) -> None:
    modules = {path.relative_to(STATIC).as_posix(): path.read_text() for path in STATIC.rglob("*.js")}
    source = bundle(modules, entry)
    nested = re.findall(r"\$\{[^}`]*`.*", source)
    assert nested == [], "a text within a text is taken for code"
    compacted = jsmin(source)
    (tmp_path / "script.mjs").write_text(compacted)
    processes.run([node(), "--check", str(tmp_path / "script.mjs")], check=True)
    texts = re.findall(r"(?:title|text|next): (\"[^\"\n]*\"|`[^`\n]*`),?$", source, re.MULTILINE)
    assert not [text for text in texts if text not in compacted]


def test_sheet_without_spaces() -> None:
    sheet = (
        '/* Why. */\n@media (width < 26rem) {\n  a:hover,\n  b > c {\n    margin: 0 1px;\n    content: "";\n  }\n}\n'
    )
    assert cssmin(sheet) == '@media (width < 26rem){a:hover,b>c{margin:0 1px;content:""}}'
