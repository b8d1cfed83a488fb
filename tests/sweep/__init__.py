"""Tests of stateless_billing/sweep."""
