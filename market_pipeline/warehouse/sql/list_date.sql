-- The first day of a symbol's security on the market: as a source states it, or that of its first bar if the vendor has confirmed
-- that an earlier session has none. Parameters: symbol.
SELECT coalesce(stated.first_day, confirmed.date) AS list_date
FROM symbol_identities AS named
LEFT JOIN LATERAL (
    SELECT period.first_day
    FROM security_tickers AS period
    WHERE period.security_id = named.security_id
    ORDER BY period.first_day NULLS FIRST
    LIMIT 1
) AS stated ON true
LEFT JOIN LATERAL (
    SELECT first.date
    FROM (SELECT min(b.date) AS date FROM bars AS b WHERE b.symbol_id = named.symbol_id) AS first
    WHERE EXISTS (
            SELECT FROM backfill_history AS h WHERE h.symbol = named.symbol AND h.success AND h.answered_from < first.date
        )
        OR EXISTS (
            SELECT FROM market_listings AS listed
            JOIN market_loads AS l ON l.market = listed.market AND l.success AND l.date < first.date
            WHERE listed.symbol_id = named.symbol_id
        )
) AS confirmed ON true
WHERE named.symbol = :symbol
