"""Starts commands of the service from a process that has imported them, so that the suite imports them once a worker.

A started process is a child of the test's process and ends, prints and exits as any other. What it does not show is how
long imports take and what they do: tests of that start Python themselves.
"""
