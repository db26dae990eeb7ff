"""Backups: dump every database of the pipeline into one folder, check the dumps, and restore them."""
