"""The audit: every payment of the chain against every credit in Stripe, in both directions. It writes nothing."""
