"""Tests of stateless_billing/domain."""
