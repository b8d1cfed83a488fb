"""Executable specifications of the pure core: naive, obviously right, and slow."""
