-- Symbols to begin with: the tracked ones, those with bars first, then those of markets by the dollar volume of the newest session.
-- Parameters: asset_class and calendar (NULL: any), most. Returns symbol_id, and NULL.
WITH tracked AS (
    SELECT
        t.id AS symbol_id, CASE WHEN EXISTS (SELECT FROM bars AS b WHERE b.symbol_id = t.id) THEN 0 ELSE 1 END AS place,
        t.symbol, NULL::double precision AS dollar_volume
    FROM tracked_symbols AS t
    WHERE t.active
        AND t.asset_class = coalesce(:asset_class, t.asset_class) AND t.calendar = coalesce(:calendar, t.calendar)
),
largest AS (
    SELECT bar.symbol_id, 2 AS place, NULL::text AS symbol, bar.close * bar.volume AS dollar_volume
    FROM bars AS bar
    JOIN market_listings AS listed ON listed.symbol_id = bar.symbol_id
    JOIN symbol_identities AS named ON named.symbol_id = bar.symbol_id
    WHERE bar.date = (SELECT max(l.last_session) FROM market_listings AS l)
        AND named.asset_class = coalesce(:asset_class, named.asset_class)
        AND named.calendar = coalesce(:calendar, named.calendar)
        AND NOT EXISTS (SELECT FROM tracked AS t WHERE t.symbol_id = bar.symbol_id)
        AND (SELECT count(*) FROM tracked) < :most
)
SELECT symbol_id, NULL AS ticker
FROM (SELECT * FROM tracked UNION ALL SELECT * FROM largest) AS symbols
ORDER BY place ASC, symbol ASC, dollar_volume DESC
LIMIT :most
