"""Mutation testing of the pure core: `make mutation`."""
