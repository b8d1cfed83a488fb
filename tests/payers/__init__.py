"""Tests of stateless_billing/payers."""
