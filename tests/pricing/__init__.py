"""Tests of stateless_billing/pricing."""
