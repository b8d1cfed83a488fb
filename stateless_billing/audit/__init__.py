"""Read-only audit that compares the payments on the chain with the credits in Stripe."""
