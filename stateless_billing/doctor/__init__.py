"""Checks everything the service depends on and says what to fix. Read-only, except with `--init`."""
