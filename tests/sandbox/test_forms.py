"""Forms decode into nested groups."""

import pytest

from stateless_billing.sandbox.answers import Refusal
from stateless_billing.sandbox.forms import Group, decode_form


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("", {}),
        ("a=1&b=%20x%26", {"a": "1", "b": " x&"}),
        ("a=1&a=2", {"a": "2"}),
        ("a=", {"a": ""}),
        ("metadata[k]=v&metadata[l]=w", {"metadata": {"k": "v", "l": "w"}}),
        ("created%5Bgte%5D=5", {"created": {"gte": "5"}}),
        ("expand[]=a&expand[]=b", {"expand": {"[0]": "a", "[1]": "b"}}),
        ("expand[0]=a", {"expand": {"0": "a"}}),
        ("a[b][c]=1", {"a": {"b": {"c": "1"}}}),
        ("a=1&a[b]=2", {"a": {"b": "2"}}),
        ("metadata[a[b]]=1", {"metadata": {"a[b]": "1"}}),
    ],
)
def test_groups(text: str, group: Group) -> None:
    assert decode_form(text) == group


@pytest.mark.parametrize("text", ["a", "a=1&", "a=%ff", "[a]=1", "a[b=1", "a[b]c=1"])
def test_invalid_forms(text: str) -> None:
    with pytest.raises(Refusal):
        decode_form(text)
