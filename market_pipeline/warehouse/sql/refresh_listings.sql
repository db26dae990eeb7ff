-- Makes the first and the last session of some symbols of a market those of their bars.
-- Parameters: market, symbol_ids. Returns symbol_id, first_session, last_session (NULL without bars).
WITH seen AS MATERIALIZED (
    SELECT
        concerned.symbol_id,
        (SELECT min(b.date) FROM bars AS b WHERE b.symbol_id = concerned.symbol_id) AS first_session,
        (SELECT max(b.date) FROM bars AS b WHERE b.symbol_id = concerned.symbol_id) AS last_session
    FROM unnest(CAST(:symbol_ids AS integer[])) AS concerned (symbol_id)
),
gone AS (
    DELETE FROM market_listings AS held USING seen
    WHERE held.symbol_id = seen.symbol_id AND seen.first_session IS NULL
),
stored AS (
    INSERT INTO market_listings AS held (symbol_id, market, first_session, last_session)
    SELECT symbol_id, CAST(:market AS text), first_session, last_session
    FROM seen
    WHERE first_session IS NOT NULL
    ON CONFLICT (symbol_id) DO UPDATE
    SET first_session = excluded.first_session, last_session = excluded.last_session
    WHERE (held.first_session, held.last_session) IS DISTINCT FROM (excluded.first_session, excluded.last_session)
)
SELECT symbol_id, first_session, last_session FROM seen
