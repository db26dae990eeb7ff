-- Brings the listings of some symbols up to date with their stored bars, where a market of their calendar has loaded sessions: a
-- session's universe has every bar of it, also of symbols that no response for a whole session had. Parameter: symbol_ids.
WITH stored AS MATERIALIZED (
    SELECT
        named.symbol_id,
        market.market,
        (SELECT min(b.date) FROM bars AS b WHERE b.symbol_id = named.symbol_id) AS first_session,
        (SELECT max(b.date) FROM bars AS b WHERE b.symbol_id = named.symbol_id) AS last_session
    FROM symbol_identities AS named
    JOIN markets AS market
        ON market.calendar = named.calendar
        AND EXISTS (SELECT FROM market_loads AS l WHERE l.market = market.market AND l.success)
    WHERE named.symbol_id = ANY(CAST(:symbol_ids AS integer[]))
),
gone AS (
    DELETE FROM market_listings AS held USING stored
    WHERE held.symbol_id = stored.symbol_id AND stored.first_session IS NULL
)
INSERT INTO market_listings AS held (symbol_id, market, first_session, last_session)
SELECT symbol_id, market, first_session, last_session
FROM stored
WHERE first_session IS NOT NULL
ON CONFLICT (symbol_id) DO UPDATE
SET first_session = excluded.first_session, last_session = excluded.last_session
WHERE (held.first_session, held.last_session) IS DISTINCT FROM (excluded.first_session, excluded.last_session)
