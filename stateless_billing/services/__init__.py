"""Composition root: builds the services of one process, checks them at startup and reports their health."""
