-- The run that ended last, with its counters from the view runs.
SELECT run_id, trigger, started_at, ended_at, symbols, succeeded, failed, loaded, revised, rejected
FROM runs
WHERE run_id = (SELECT run_id FROM backfill_history ORDER BY backfill_timestamp DESC, id DESC LIMIT 1)
