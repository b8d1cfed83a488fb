"""Fakes and test values shared by several test packages."""
