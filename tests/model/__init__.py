"""The rules of exactly-once crediting as a small state machine that is explored completely."""
