"""Clocks, logs, metrics and limiters. Knows nothing of payments."""
