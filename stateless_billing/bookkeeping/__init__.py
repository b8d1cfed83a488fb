"""Writes of ledger entries to Stripe, and the two bookkeeping customers."""
