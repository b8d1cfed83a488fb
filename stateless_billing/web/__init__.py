"""HTTP: one route table, handlers by page, guards, headers."""
