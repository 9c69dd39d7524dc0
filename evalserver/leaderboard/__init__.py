"""The table of published results: ranking, page, CSV and JSON."""
