"""Credits that moderators give, under caps."""
