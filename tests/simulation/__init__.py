"""The production code, whole, in one process: virtual time, seeded order, every fault we know of."""
