"""The SDK is loaded without the synchronous client's library, and nobody else is kept from that."""

import sys

import pytest

from stateless_billing.sandbox import processes
from stateless_billing.stripe import sdk
from stateless_billing.stripe.client import API_VERSION

AFTER = "from stateless_billing.stripe import sdk; import sys; assert 'requests' not in sys.modules; import requests"
BEFORE = "import requests, sys; from stateless_billing.stripe import sdk; assert sys.modules['requests'] is requests"


@pytest.mark.parametrize("code", [AFTER, BEFORE])
def test_requests_is_left_alone(code: str) -> None:
    processes.run([sys.executable, "-c", f"{code}; assert requests.Session"], stdout=None, stderr=None, check=True)


def test_it_is_the_sdk_that_knows_our_version() -> None:
    assert sdk.stripe.api_version == API_VERSION
