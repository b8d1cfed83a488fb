"""The operators' home page, a customer's page, the help page and the roster."""
