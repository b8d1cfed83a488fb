"""Tests of `chain/decoding.py`."""
