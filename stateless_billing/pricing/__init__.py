"""Market rates: the feed, the rule for a block's rate, and overrides by admins."""
