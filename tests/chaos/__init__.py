"""Kills and suspends real processes at random, then compares chain and Stripe. `python -m tests.chaos`."""
