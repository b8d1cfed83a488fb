"""Shared by the handlers: problems, inputs, streams, CSV and networks."""
