"""The pages and requests of decisions that move money."""
