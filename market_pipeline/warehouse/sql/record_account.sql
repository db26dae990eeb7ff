-- The account of what a run did about one symbol, and the symbol's own state, in one round trip.
-- Nothing is written where the symbol's name has become another instrument's meanwhile.
-- Parameters: the columns of backfill_history but id, duration_seconds and backfill_timestamp; asset_class.
WITH account AS (
    INSERT INTO backfill_history (
        run_id, trigger, symbol, start_date, end_date, sessions, answered, refused, answered_from, answered_to,
        requests, fetched, loaded, revised, unchanged, rejected, flagged, missing, records_imported, started_at,
        duration_seconds, backfill_timestamp, success, error_details, notes, waited_seconds
    )
    SELECT
        :run_id, :trigger, :symbol, :start_date, :end_date, :sessions, :answered, :refused, :answered_from, :answered_to,
        :requests, :fetched, :loaded, :revised, :unchanged, :rejected, :flagged, :missing, :records_imported, :started_at,
        extract(epoch FROM clock_timestamp() - CAST(:started_at AS timestamptz)), clock_timestamp(),
        :success, :error_details, :notes, :waited_seconds
    WHERE NOT EXISTS (SELECT FROM tracked_symbols WHERE symbol = :symbol AND asset_class <> :asset_class)
)
UPDATE tracked_symbols
SET backfill_status = CASE WHEN :success THEN 'completed' ELSE 'failed' END,
    last_backfill = CASE WHEN :success THEN now() ELSE last_backfill END
WHERE symbol = :symbol AND asset_class = :asset_class
