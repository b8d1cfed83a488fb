"""Fuzzes the running service from its API description, with schemathesis in its own environment."""
