"""Tests of stateless_billing/services."""
