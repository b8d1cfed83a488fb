"""Tests of `chain/provider.py`."""
