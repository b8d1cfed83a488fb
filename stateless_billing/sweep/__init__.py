"""Finds every payment without help from a browser, and takes it to its credit."""
