"""The audit: its pure core in tables, its reading against fakes, its commands on the real stack."""
