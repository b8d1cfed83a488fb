"""Read-only access to the chain and Stripe for audits."""
