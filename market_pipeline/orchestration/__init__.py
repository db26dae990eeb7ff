"""Dagster, one concept a module: thin, with the work itself in the domain code."""
