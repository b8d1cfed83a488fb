"""Every error code of the stand-in is one that Stripe publishes."""

import ast
from pathlib import Path

import pytest

from stateless_billing import sandbox
from stateless_billing.sandbox.answers import CODES, Refusal
from tests.sandbox.in_process_client import InProcessClient, rows_path

SOURCES = sorted(Path(sandbox.__file__).parent.glob("*.py"))


def codes_in_package() -> set[str]:
    """Return every error code literal in the package."""
    codes: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            given = [word.value for word in node.keywords if word.arg == "code"]
            if isinstance(node.func, ast.Name) and node.func.id == "unauthorized":
                given += node.args[1:2]
            codes |= {
                value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, str)
            }
    return codes


def test_every_code_in_the_package_is_published() -> None:
    assert "resource_missing" in codes_in_package()
    assert "api_key_expired" in codes_in_package()
    assert codes_in_package() <= CODES


@pytest.mark.parametrize("kind", ["array", "hash", "string", "string_too_long"])
def test_codes_that_stripe_never_published_cannot_be_answered(kind: str) -> None:
    with pytest.raises(ValueError, match=f"parameter_invalid_{kind}"):
        Refusal(400, "no", code=f"parameter_invalid_{kind}")


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"description[a]": "b"}, "description"),
        ({"description": "x" * 351}, "description"),
        ({"metadata": "text"}, "metadata"),
        ({"expand": "customer"}, "expand"),
    ],
)
def test_where_no_code_fits_there_is_none(ask: InProcessClient, form: dict[str, str], param: str) -> None:
    answer = ask.credit(ask.customer(), 1, **form)
    assert (answer.status, answer.error["type"], answer.error["param"]) == (400, "invalid_request_error", param)
    assert not {"code", "doc_url"} & set(answer.error)
    assert ask("GET", rows_path("cus_none")).error["code"] == "resource_missing"
