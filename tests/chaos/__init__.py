"""Real processes, killed and stopped at random, until the books are looked at. `python -m tests.chaos`."""
