"""Metadata limits and merging."""

import pytest

from stateless_billing.sandbox.answers import Refusal
from stateless_billing.sandbox.forms import Value
from stateless_billing.sandbox.metadata import metadata_change


def test_keys_merge_and_empty_values_unset() -> None:
    old = {"a": "1", "b": "2"}
    assert metadata_change({"b": "", "c": "3"}).applied(old) == {"a": "1", "c": "3"}
    assert old == {"a": "1", "b": "2"}
    assert metadata_change("").applied(old) == {}


@pytest.mark.parametrize(
    "value",
    [
        "text",
        {"k" * 41: "v"},
        {"k": "v" * 501},
        {"k": {"deep": "v"}},
        {"a[b]": "v"},
        {"[0]": "v"},
    ],
)
def test_invalid_metadata_is_rejected(value: Value) -> None:
    with pytest.raises(Refusal) as refusal:
        metadata_change(value)
    assert refusal.value.status == 400
    assert (refusal.value.param or "").startswith("metadata")


def test_the_limits_themselves_are_allowed() -> None:
    assert metadata_change({"k" * 40: "v" * 500}).applied({}) == {"k" * 40: "v" * 500}
    fifty = {str(number): "v" for number in range(50)}
    assert len(metadata_change({"0": "w"}).applied(fifty)) == 50
    with pytest.raises(Refusal, match="at most 50"):
        metadata_change({"new": "w"}).applied(fifty)
    with pytest.raises(Refusal, match="at most 50"):
        metadata_change({str(number): "v" for number in range(51)}).applied({})
