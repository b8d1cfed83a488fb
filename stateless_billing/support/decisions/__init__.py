"""Decisions that move money: what is checked, and what is shown before anything is written."""
