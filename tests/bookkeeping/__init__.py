"""Tests of stateless_billing/bookkeeping."""
