"""The SDK speaks the version of the API that this code was written for."""

from stateless_billing.stripe import sdk
from stateless_billing.stripe.client import API_VERSION


def test_the_sdk_has_our_api_version() -> None:
    assert sdk.stripe.api_version == API_VERSION
