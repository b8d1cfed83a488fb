"""Plays simulation seeds, chaos, attacks and outages in turn, for hours."""
