"""Benchmarks: ratios inside one run, against stand-ins in processes of their own. `make bench` runs them all."""
