"""Market rates: the price feed, the rule for the rate of a block, and admins' overrides."""
