"""Tests of stateless_billing/stripe/connection.py."""
