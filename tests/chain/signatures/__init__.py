"""Tests of `chain/signatures.py`."""
