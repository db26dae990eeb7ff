"""Tests against real parts: PostgreSQL, HTTP over loopback, a Dagster instance."""
