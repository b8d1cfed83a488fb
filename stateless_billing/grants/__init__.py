"""Grants: credits given by moderators within caps."""
