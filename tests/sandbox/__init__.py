"""Tests of the stand-ins: contract tests with the real SDK over HTTP, and in-process tests of the core."""
