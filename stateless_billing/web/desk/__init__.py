"""The operators' home page, the help page and the roster."""
