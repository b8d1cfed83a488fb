"""Shared by every handler: problems, inputs, streams and addresses of origin."""
