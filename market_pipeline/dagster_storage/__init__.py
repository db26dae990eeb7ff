"""Dagster's storage on PostgreSQL: events written in bulk, kept connections, and the door to Dagster's internals."""
