"""Operators: roles, sign-in and mail."""
