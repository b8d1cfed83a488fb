"""Operators' support tools: customer search, timelines, uncredited payments and orders."""
