"""Tests of the bulk storage. They need nothing of the project but `dagster_storage` and the fixture `postgres_url`."""
