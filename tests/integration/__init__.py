"""Tests of the real service as processes, on a real chain, against the stand-ins."""
