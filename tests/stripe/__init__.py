"""Tests of stateless_billing/stripe."""
