"""The EVM edge: nodes, the gateway contract, its payments and its signatures. Knows nothing of billing."""
