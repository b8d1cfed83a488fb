"""Benchmarks: ratios within one run, against stand-ins in separate processes. `make bench` runs them all."""
