"""The report: rows, totals, formats and files."""
