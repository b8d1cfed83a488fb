"""Who the operators are, and how they sign in."""
