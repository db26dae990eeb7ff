"""Tests of the bulk storage, which need nothing of the project but the package `dagster_storage`."""
