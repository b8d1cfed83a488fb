"""Tests of stateless_billing/operators."""
