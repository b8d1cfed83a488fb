"""The SDK is loaded without `requests`, which others can still import."""

import sys

import pytest

from stateless_billing.sandbox import processes
from stateless_billing.stripe import sdk
from stateless_billing.stripe.client import API_VERSION

AFTER = "from stateless_billing.stripe import sdk; import sys; assert 'requests' not in sys.modules; import requests"
BEFORE = "import requests, sys; from stateless_billing.stripe import sdk; assert sys.modules['requests'] is requests"


@pytest.mark.parametrize("code", [AFTER, BEFORE])
def test_requests_can_still_be_imported(code: str) -> None:
    processes.run([sys.executable, "-c", f"{code}; assert requests.Session"], stdout=None, stderr=None, check=True)


def test_the_sdk_has_our_api_version() -> None:
    assert sdk.stripe.api_version == API_VERSION
