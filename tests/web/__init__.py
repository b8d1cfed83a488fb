"""Tests of the HTTP shell."""
