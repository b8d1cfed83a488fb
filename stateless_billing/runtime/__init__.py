"""Clocks, logs, metrics and limiters. Nothing in this package is specific to billing."""
