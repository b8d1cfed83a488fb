"""Tests of `chain/contracts.py`."""
