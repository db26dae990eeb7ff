-- Bars as they were stored at an instant. Flags are derived and not kept: they are those of now, or of the time when the
-- bar was replaced.
CREATE OR REPLACE FUNCTION market_data_as_of(instant timestamptz) RETURNS SETOF market_data
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        symbol, date, time, open, high, low, close, volume, vwap, transactions, source, validated, quality_score,
        flags, validation_notes, gap_detected, volume_anomaly, fetched_at, run_id, updated_at
    FROM market_data
    WHERE fetched_at <= instant
    UNION ALL
    SELECT
        symbol, date, time, open, high, low, close, volume, vwap, transactions, source, validated, quality_score,
        flags, validation_notes, gap_detected, volume_anomaly, fetched_at, run_id, fetched_at
    FROM market_data_revisions
    WHERE fetched_at <= instant AND replaced_at > instant;
END;

COMMENT ON FUNCTION market_data_as_of(timestamptz) IS
    'The rows of market_data as they were stored at an instant: select * from market_data_as_of(''2026-03-01 12:00+00''). '
    'Values are exactly those of then; flags are those of now, or of when the bar was replaced.';
