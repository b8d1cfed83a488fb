"""Audit rules: pure functions from the data that was read to verdicts."""
