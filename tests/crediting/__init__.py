"""Tests of stateless_billing/crediting."""
