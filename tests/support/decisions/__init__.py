"""Tests of stateless_billing/support."""
