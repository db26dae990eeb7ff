-- Replaces one symbol's stored bars by the staged ones, all of which differ, and keeps the replaced ones in
-- market_data_revisions. Parameters: symbol, source, run_id, at.
-- Both parts see the table as it was before the statement, so neither disturbs the other.
WITH staged AS (
    SELECT
        date, time, open, high, low, close, volume,
        NULLIF(vwap, 'NaN') AS vwap,
        NULLIF(transactions, 'NaN')::bigint AS transactions
    FROM staged_bars
),
kept AS (
    INSERT INTO market_data_revisions (
        symbol, date, time, open, high, low, close, volume, vwap, transactions, source, validated, quality_score,
        flags, validation_notes, gap_detected, volume_anomaly, fetched_at, run_id, replaced_at, replaced_by_run_id
    )
    SELECT
        symbol, date, held.time, held.open, held.high, held.low, held.close, held.volume, held.vwap, held.transactions,
        source, validated, quality_score, flags, validation_notes, gap_detected, volume_anomaly, fetched_at, run_id,
        :at, :run_id
    FROM market_data AS held
    JOIN staged USING (date)
    WHERE symbol = :symbol
)
UPDATE market_data AS held
SET time = staged.time, open = staged.open, high = staged.high, low = staged.low, close = staged.close,
    volume = staged.volume, vwap = staged.vwap, transactions = staged.transactions, source = :source,
    fetched_at = :at, run_id = :run_id, updated_at = :at
FROM staged
WHERE held.symbol = :symbol AND held.date = staged.date
