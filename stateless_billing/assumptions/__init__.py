"""What is assumed of Stripe, the chain and the price feed, and what sees that it does not hold."""
