"""What visitors ask: accounts, quotes, claims and receipts."""
