"""The EVM edge: pure decoding and encoding, nodes that fail, gateways whose node lies."""
