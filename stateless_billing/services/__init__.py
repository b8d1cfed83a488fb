"""Builds everything that works together in one process, and says whether it is fit."""
