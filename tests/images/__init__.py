"""Makes the screenshots of the documents: `make images`."""
