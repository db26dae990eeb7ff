-- Makes adjustment_factors of some symbols what session_actions and adjustment_states give now. Writes differences only.
-- Parameter: symbols. Every action after the first bar ends a stretch of days, and the last stretch never ends. Earlier actions
-- change no price that is stored; without them a bar is compared with a fifth of the stretches.
WITH stretches AS (
    SELECT symbol, session AS to_date, split_factor, dividend_factor, unknown_because
    FROM session_actions
    WHERE symbol = ANY(CAST(:symbols AS text[]))
        AND session > (
            SELECT min(b.date)
            FROM tracked_symbols AS tracked
            JOIN bars AS b ON b.symbol_id = tracked.id
            WHERE tracked.symbol = session_actions.symbol
        )
    UNION ALL
    SELECT
        symbol, DATE '9999-12-31', CASE WHEN splits_known THEN 1 END, CASE WHEN dividends_known THEN 1 END, all_unknown_because
    FROM adjustment_states
    WHERE symbol = ANY(CAST(:symbols AS text[]))
),
-- A factor is known if it is known of all later actions. The reason is that of the latest of which it is not.
factors AS MATERIALIZED (
    SELECT
        symbol,
        lag(to_date, 1, DATE '0001-01-01') OVER (PARTITION BY symbol ORDER BY to_date) AS from_date,
        to_date,
        CASE WHEN bool_and(split_factor IS NOT NULL) OVER later THEN product(split_factor) OVER later END AS split_factor,
        CASE WHEN bool_and(dividend_factor IS NOT NULL) OVER later THEN product(dividend_factor) OVER later END
            AS dividend_factor,
        (array_agg(unknown_because) FILTER (WHERE split_factor IS NULL) OVER later)[1] AS splits_unknown_because,
        (array_agg(unknown_because) FILTER (WHERE dividend_factor IS NULL) OVER later)[1] AS dividends_unknown_because
    FROM stretches
    WINDOW later AS (PARTITION BY symbol ORDER BY to_date DESC)
),
explained AS MATERIALIZED (
    SELECT
        symbol, from_date, to_date, split_factor, dividend_factor,
        nullif(
            concat_ws('; ', splits_unknown_because, nullif(dividends_unknown_because, splits_unknown_because)), ''
        ) AS unknown_because
    FROM factors
    EXCEPT
    SELECT symbol, from_date, to_date, split_factor, dividend_factor, unknown_because
    FROM adjustment_factors
    WHERE symbol = ANY(CAST(:symbols AS text[]))
),
gone AS (
    DELETE FROM adjustment_factors AS held
    WHERE held.symbol = ANY(CAST(:symbols AS text[]))
        AND NOT EXISTS (
            SELECT FROM factors WHERE factors.symbol = held.symbol AND factors.from_date = held.from_date
        )
)
INSERT INTO adjustment_factors (symbol, from_date, to_date, split_factor, dividend_factor, unknown_because)
SELECT symbol, from_date, to_date, split_factor, dividend_factor, unknown_because
FROM explained
ON CONFLICT (symbol, from_date) DO UPDATE
SET to_date = excluded.to_date,
    split_factor = excluded.split_factor,
    dividend_factor = excluded.dividend_factor,
    unknown_because = excluded.unknown_because
