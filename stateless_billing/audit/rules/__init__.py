"""Verdicts of the audit: pure functions of what was read."""
