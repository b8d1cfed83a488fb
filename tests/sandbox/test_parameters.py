"""Parameters are typed and returned once."""

import pytest

from stateless_billing.sandbox.answers import Refusal
from stateless_billing.sandbox.forms import Group
from stateless_billing.sandbox.parameters import Parameters, Window


@pytest.mark.parametrize(("text", "number"), [("5", 5), ("-5", -5), ("+5", 5), ("007", 7)])
def test_whole_numbers(text: str, number: int) -> None:
    assert Parameters({"n": text}).integer("n") == number


@pytest.mark.parametrize("text", ["", "1.0", "1e3", " 1", "0x1", "٣", "9" * 19, "-"])
def test_invalid_integers(text: str) -> None:
    with pytest.raises(Refusal) as refusal:
        Parameters({"n": text}).integer("n")
    assert refusal.value.code == "parameter_invalid_integer"


def test_a_group_is_neither_number_nor_text() -> None:
    for read in (Parameters({"n": {"a": "1"}}).integer, Parameters({"n": {"a": "1"}}).text):
        with pytest.raises(Refusal):
            read("n")


def test_texts() -> None:
    given = Parameters({"a": "x", "b": ""})
    assert (given.text("a"), given.text("b", unset=True), given.text("c")) == ("x", "", None)
    given.finish()


def test_windows_narrow() -> None:
    assert Parameters({"created": {"gt": "5", "gte": "3", "lt": "9", "lte": "20"}}).created() == Window(6, 9)
    assert Parameters({"created": "5"}).created() == Window(5, 6)
    assert Parameters({}).created() == Window()


def test_expansions() -> None:
    assert Parameters({"expand": {"[0]": "a"}}).expand(frozenset({"a"})) == {"a"}
    groups: list[Group] = [{"expand": "a"}, {"expand": {"[0]": "b"}}]
    for group in groups:
        with pytest.raises(Refusal) as refusal:
            Parameters(group).expand(frozenset({"a"}))
        assert refusal.value.param == "expand"


def test_unread_parameters_are_unknown() -> None:
    given = Parameters({"a": "1", "b": "2"})
    given.text("a")
    with pytest.raises(Refusal) as refusal:
        given.finish()
    assert (refusal.value.code, refusal.value.param) == ("parameter_unknown", "b")
