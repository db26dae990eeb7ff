-- Symbols whose name here, or a ticker that they have or had, begins with a text, or whose company's name has it; case is ignored.
-- Exact ones come first, then tickers before companies, tracked symbols before others, and ended ones last.
-- Parameters: text and in_name (escaped for LIKE; in_name is NULL where the text is too short for names), asset_class and calendar
-- (NULL: any), most.
-- Returns symbol_id, and the ticker that matches.
WITH matching AS (
    SELECT named.symbol_id, named.symbol AS ticker, CASE WHEN named.symbol ILIKE :text THEN 0 ELSE 1 END AS place
    FROM symbol_identities AS named
    WHERE named.symbol ILIKE :text || '%'
    UNION ALL
    SELECT named.symbol_id, period.ticker, CASE WHEN period.ticker ILIKE :text THEN 0 ELSE 1 END
    FROM security_tickers AS period
    JOIN symbol_identities AS named ON named.security_id = period.security_id
    WHERE period.ticker ILIKE :text || '%'
    UNION ALL
    SELECT tracked.id, NULL, 2
    FROM tracked_symbols AS tracked
    WHERE tracked.name ILIKE '%' || :in_name || '%'
    UNION ALL
    SELECT named.symbol_id, NULL, 2
    FROM securities AS security
    JOIN symbol_identities AS named ON named.security_id = security.id
    WHERE security.name ILIKE '%' || :in_name || '%'
    UNION ALL
    SELECT named.symbol_id, NULL, 2
    FROM reference_tickers AS reference
    JOIN security_tickers AS period ON period.ticker = reference.ticker
    JOIN symbol_identities AS named ON named.security_id = period.security_id
    JOIN market_listings AS listed ON listed.symbol_id = named.symbol_id AND listed.market = reference.market
    -- As in listings: a week covers the vendor's delays; the entry of a listed ticker is of whoever has it now.
    WHERE reference.name ILIKE '%' || :in_name || '%'
        AND (reference.delisted_on >= listed.last_session - 7 OR reference.delisted_on IS NULL AND period.last_day IS NULL)
),
best AS (
    SELECT DISTINCT ON (symbol_id) symbol_id, ticker, place FROM matching ORDER BY symbol_id, place, ticker
)
SELECT best.symbol_id, best.ticker
FROM best
JOIN symbol_identities AS named ON named.symbol_id = best.symbol_id
LEFT JOIN tracked_symbols AS tracked ON tracked.id = best.symbol_id
LEFT JOIN market_listings AS listed ON listed.symbol_id = best.symbol_id
LEFT JOIN (SELECT m.market, recent_since(m.market) AS since FROM markets AS m OFFSET 0) AS recent ON recent.market = listed.market
WHERE named.asset_class = coalesce(:asset_class, named.asset_class) AND named.calendar = coalesce(:calendar, named.calendar)
ORDER BY
    best.place ASC, tracked.active DESC NULLS LAST,
    coalesce(tracked.delisted_on IS NOT NULL, listed.last_session < recent.since, false) ASC, named.symbol ASC
LIMIT :most
