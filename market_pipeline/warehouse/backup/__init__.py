"""Backups: dump every database of the pipeline into one folder, check it whole, and restore it."""
