"""Finds every payment on the chain and credits it, independent of the web pages."""
