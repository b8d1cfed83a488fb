"""Sign-in, and the pages and API for operators."""
