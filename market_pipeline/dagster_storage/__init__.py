"""Where Dagster keeps its runs, events and schedules: in PostgreSQL, pooled, and in bulk."""
