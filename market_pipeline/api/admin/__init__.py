"""Endpoints for administrators, under the runbook's paths: symbols, backfills and API keys."""
