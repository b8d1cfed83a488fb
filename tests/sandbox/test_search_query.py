"""The search language: matching and invalid queries."""

import pytest

from stateless_billing.sandbox.answers import Refusal
from stateless_billing.sandbox.records import Contact
from stateless_billing.sandbox.search_query import parse_query

BOB = Contact("Bob@Example.org", "Bob B", None, {"wallet_address": "0xab", 'odd"key': "a\\b"})


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ('email:"bob@example.org"', True),
        ('email:"bob@example"', False),
        ('email~"EXAMPLE"', True),
        ('email~"elsewhere"', False),
        ("name:'bob b'", True),
        ('phone:"1"', False),
        ("phone:null", True),
        ("-phone:null", False),
        ('metadata["wallet_address"]:"0xab"', True),
        ('metadata["wallet_address"]:"0xAB"', True),
        ('metadata["wallet_address"]:"0xa"', False),
        ("metadata['wallet_address']:'0xab'", True),
        (r'metadata["odd\"key"]:"a\\b"', True),
        ('metadata["none"]:null', True),
        ('-metadata["wallet_address"]:null', True),
        ("created>99", True),
        ("created>100", False),
        ("created>=100", True),
        ("created<=99", False),
        ("created<101", True),
        ("created:100", True),
        ('created>"99"', True),
        ('name:"BOB"', True),
        ('name:"b bob"', False),
        ('name:"bo"', False),
        ('name:""', False),
        ("phone:NULL", True),
        ('name:"bob b" created>99', True),
        ('name:"bob b" created>100', False),
        ('name:"bob b" AND created>100', False),
        ('name:"bob b" OR created>100', True),
        ('-name:"bob b" or -created>100', True),
        ('-email:"bob@example.org"', False),
    ],
)
def test_matching(query: str, matches: bool) -> None:
    assert parse_query(query).matches(BOB, 100) is matches


@pytest.mark.parametrize(
    "query",
    [
        "",
        "bob",
        "email:bob",
        'email:"a"b"',
        'email:"a',
        'email~"ab"',
        "email>5",
        'balance:"5"',
        'metadata["a"]~"abc"',
        'metadata["a"]:5',
        'metadata:"a"',
        'email["a"]:"b"',
        "created~5",
        'created:"x"',
        'email:"a" AND',
        'email:"a" AND name:"b" OR name:"c"',
        'email:"a" name:"b" OR name:"c"',
        " AND ".join(['email:"a"'] * 11),
        'metadata["k"]:"v" OR email~"@" x',
    ],
)
def test_invalid_queries(query: str) -> None:
    with pytest.raises(Refusal) as refusal:
        parse_query(query)
    assert (refusal.value.status, refusal.value.param) == (400, "query")
