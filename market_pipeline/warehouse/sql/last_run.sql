-- The run that ended last, under the runbook's names.
SELECT
    ended_at AS time, succeeded AS successful_symbols, failed AS failed_symbols,
    loaded + revised AS total_records_imported, run_id, trigger
FROM runs
WHERE run_id = (SELECT run_id FROM backfill_history ORDER BY backfill_timestamp DESC, id DESC LIMIT 1)
