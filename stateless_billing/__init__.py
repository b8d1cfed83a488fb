"""Credits a Stripe customer balance exactly once for every payment to a gateway contract, with no database."""
