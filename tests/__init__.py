"""Every test. No connection but to this machine; warnings are errors."""
