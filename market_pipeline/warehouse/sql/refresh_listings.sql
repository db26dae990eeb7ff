-- Brings the first and the last session of some symbols of a market up to date, for bars from a first to a last one that are
-- stored or are about to be. Others are looked up among the bars of a symbol without a listing, or of which bars were taken out.
-- Parameters: market, symbol_ids, firsts, lasts (NULL if none is stored), looked_up (booleans; arrays of one length). Returns
-- symbol_id, first_session, last_session (NULL without bars) of those that were looked up.
WITH seen AS MATERIALIZED (
    SELECT
        changed.symbol_id,
        held.symbol_id IS NULL OR changed.looked_up AS is_looked_up,
        least(
            changed.first,
            CASE
                WHEN held.symbol_id IS NOT NULL AND NOT changed.looked_up THEN held.first_session
                ELSE (SELECT min(b.date) FROM bars AS b WHERE b.symbol_id = changed.symbol_id)
            END
        ) AS first_session,
        greatest(
            changed.last,
            CASE
                WHEN held.symbol_id IS NOT NULL AND NOT changed.looked_up THEN held.last_session
                ELSE (SELECT max(b.date) FROM bars AS b WHERE b.symbol_id = changed.symbol_id)
            END
        ) AS last_session
    FROM unnest(
        CAST(:symbol_ids AS integer[]), CAST(:firsts AS date[]), CAST(:lasts AS date[]), CAST(:looked_up AS boolean[])
    ) AS changed (symbol_id, first, last, looked_up)
    LEFT JOIN market_listings AS held ON held.symbol_id = changed.symbol_id
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
SELECT symbol_id, first_session, last_session
FROM seen
WHERE is_looked_up
