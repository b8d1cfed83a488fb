"""Stripe's API: connection, rate limits, objects and calls."""
