"""Tests of stateless_billing/commands."""
