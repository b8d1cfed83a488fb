"""What the service writes into Stripe, and the two bookkeeping customers."""
