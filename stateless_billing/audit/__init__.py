"""Read-only audit: compares every payment on the chain with every credit in Stripe, in both directions."""
