"""Attacks that were played against the service, each as a test."""
