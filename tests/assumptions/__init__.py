"""Tests of stateless_billing/assumptions."""
