"""Tests of the stand-ins: contract tests with the real SDK over HTTP, and tests of the core in process."""
