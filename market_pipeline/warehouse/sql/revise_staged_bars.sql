-- One symbol's staged bars into market_data: new ones are inserted, different ones replace the old, which are kept in
-- market_data_revisions, and equal ones are left alone. Parameters: symbol, source, run_id, at. Returns the counts.
-- All parts see the table as it was before the statement, so no part disturbs another.
WITH staged AS (
    SELECT
        date, time, open, high, low, close, volume,
        NULLIF(vwap, 'NaN') AS vwap,
        NULLIF(transactions, 'NaN')::bigint AS transactions
    FROM staged_bars
),
changed AS (
    SELECT held.date
    FROM market_data AS held
    JOIN staged USING (date)
    WHERE held.symbol = :symbol
      AND (held.open, held.high, held.low, held.close, held.volume, held.vwap, held.transactions)
          IS DISTINCT FROM
          (staged.open, staged.high, staged.low, staged.close, staged.volume, staged.vwap, staged.transactions)
),
kept AS (
    INSERT INTO market_data_revisions (
        symbol, date, time, open, high, low, close, volume, vwap, transactions, source, validated, quality_score,
        flags, validation_notes, gap_detected, volume_anomaly, fetched_at, run_id, replaced_at, replaced_by_run_id
    )
    SELECT
        symbol, date, time, open, high, low, close, volume, vwap, transactions, source, validated, quality_score,
        flags, validation_notes, gap_detected, volume_anomaly, fetched_at, run_id, :at, :run_id
    FROM market_data
    JOIN changed USING (date)
    WHERE symbol = :symbol
),
revised AS (
    UPDATE market_data AS held
    SET time = staged.time, open = staged.open, high = staged.high, low = staged.low, close = staged.close,
        volume = staged.volume, vwap = staged.vwap, transactions = staged.transactions, source = :source,
        fetched_at = :at, run_id = :run_id, updated_at = :at
    FROM staged
    JOIN changed USING (date)
    WHERE held.symbol = :symbol AND held.date = staged.date
    RETURNING held.date
),
loaded AS (
    INSERT INTO market_data (
        symbol, date, time, open, high, low, close, volume, vwap, transactions,
        source, fetched_at, run_id, updated_at
    )
    SELECT
        :symbol, date, time, open, high, low, close, volume, vwap, transactions,
        :source, :at, :run_id, :at
    FROM staged
    WHERE NOT EXISTS (SELECT FROM market_data AS held WHERE held.symbol = :symbol AND held.date = staged.date)
    RETURNING date
)
SELECT
    (SELECT count(*) FROM loaded) AS loaded,
    (SELECT count(*) FROM revised) AS revised
