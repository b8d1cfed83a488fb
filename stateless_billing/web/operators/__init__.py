"""The pages and the API behind the sign-in."""
