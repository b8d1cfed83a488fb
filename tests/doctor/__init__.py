"""The doctor: each thing it can find, found."""
