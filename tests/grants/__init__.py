"""Tests of stateless_billing/grants."""
