"""Tests of stateless_billing/runtime."""
