"""A Stripe of the kit's own, written from Stripe's public documentation; it shares no code with the sandbox."""
