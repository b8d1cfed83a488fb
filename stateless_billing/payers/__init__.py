"""What visitors ask: accounts, quotes and what became of them, claims and receipts."""
