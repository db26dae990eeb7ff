-- Moves a symbol's bars of some sessions to market_data_revisions, as they are another security's.
-- Parameters: symbol, dates, reason, at, run_id.
WITH moved AS (
    DELETE FROM market_data
    WHERE symbol = :symbol AND date = ANY(CAST(:dates AS date[]))
    RETURNING *
)
INSERT INTO market_data_revisions (
    symbol, date, time, open, high, low, close, volume, vwap, transactions, source, validated, quality_score,
    flags, validation_notes, gap_detected, volume_anomaly, fetched_at, run_id, replaced_at, replaced_by_run_id, reason
)
SELECT
    symbol, date, time, open, high, low, close, volume, vwap, transactions, source, validated, quality_score,
    flags, validation_notes, gap_detected, volume_anomaly, fetched_at, run_id, :at, :run_id, :reason
FROM moved
