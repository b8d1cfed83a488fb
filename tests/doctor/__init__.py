"""Tests of stateless_billing/doctor."""
