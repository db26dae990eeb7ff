"""Dagster definitions and instance: assets, schedules, sensors, runs and backfills. The work itself is domain code."""
