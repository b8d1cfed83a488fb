"""Asks Stripe what no document settles, and compares the answers with what the stand-in assumes."""
