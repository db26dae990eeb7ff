"""Alembic's scripts: how a database came to the state that tables.py declares."""
