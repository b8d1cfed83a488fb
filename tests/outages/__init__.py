"""Outages of Stripe, nodes and prices, and how soon credits go on after them."""
