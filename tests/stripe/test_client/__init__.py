"""Tests of stateless_billing/stripe/client.py."""
