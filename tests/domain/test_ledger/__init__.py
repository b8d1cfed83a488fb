"""Tests of stateless_billing/domain/ledger.py."""
