"""search_metadata escapes its query and compares the results."""

import pytest

from stateless_billing.stripe.lookups import search_metadata
from tests.fakes.fake_stripe import FakeStripe, raw_customer, raw_list, respond

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("value", "query"),
    [
        ("service", 'metadata["mark"]:"service"'),
        ('x" OR email:"a', 'metadata["mark"]:"x\\" OR email:\\"a"'),
        ("back\\slash", 'metadata["mark"]:"back\\\\slash"'),
        ('\\"', 'metadata["mark"]:"\\\\\\""'),
        ("ünï + & =", 'metadata["mark"]:"ünï + & ="'),
    ],
)
async def test_search_text_is_escaped(value: str, query: str) -> None:
    fake = FakeStripe(respond(200, raw_list()))
    async with fake.api().session() as session:
        assert await search_metadata(session, "mark", value) == []
    assert fake.sent_form()["query"] == [query]


async def test_search_results_are_compared_again() -> None:
    customers = [raw_customer(id=f"cus_{n}", metadata=m) for n, m in enumerate([{"mark": "ABC"}, {"mark": "abcd"}, {}])]
    deleted = {"id": "cus_gone", "object": "customer", "deleted": True}
    fake = FakeStripe(respond(200, raw_list(*customers, deleted)))
    async with fake.api().session() as session:
        assert [customer.id for customer in await search_metadata(session, "mark", "aBc")] == ["cus_0"]
