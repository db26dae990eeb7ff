-- Writes load records, and the states of their symbols. Writes none of a symbol whose name is another instrument's by now.
-- Parameter: records, a JSON list of rows of backfill_history, each with the symbol's asset_class.
WITH given AS (
    SELECT record.*, listed.value ->> 'asset_class' AS asset_class, listed.place
    FROM json_array_elements(CAST(:records AS json)) WITH ORDINALITY AS listed (value, place)
    CROSS JOIN LATERAL json_populate_record(NULL::backfill_history, listed.value) AS record
),
stored AS (
    INSERT INTO backfill_history (
        run_id, trigger, symbol, start_date, end_date, sessions, answered, refused, answered_from, answered_to,
        requests, fetched, loaded, revised, unchanged, rejected, flagged, missing, records_imported, started_at,
        success, error_details, notes, waited_seconds,
        backfill_timestamp, duration_seconds
    )
    SELECT
        run_id, trigger, symbol, start_date, end_date, sessions, answered, refused, answered_from, answered_to,
        requests, fetched, loaded, revised, unchanged, rejected, flagged, missing, records_imported, started_at,
        success, error_details, notes, waited_seconds,
        clock_timestamp(), extract(epoch FROM clock_timestamp() - started_at)
    FROM given
    WHERE NOT EXISTS (
        SELECT FROM tracked_symbols AS other WHERE other.symbol = given.symbol AND other.asset_class <> given.asset_class
    )
    ORDER BY place
)
UPDATE tracked_symbols AS tracked
SET backfill_status = CASE WHEN given.success THEN 'completed' ELSE 'failed' END,
    last_backfill = CASE WHEN given.success THEN now() ELSE tracked.last_backfill END
FROM given
WHERE tracked.symbol = given.symbol AND tracked.asset_class = given.asset_class
