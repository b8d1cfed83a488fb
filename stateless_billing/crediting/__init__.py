"""Credits each payment exactly once."""
