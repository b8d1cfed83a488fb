"""The pages of payers."""
