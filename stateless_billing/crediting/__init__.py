"""One payment to its credit, exactly once."""
