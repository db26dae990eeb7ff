-- A symbol: its name, asset class, calendar, title, exchange, newest close, the most decimals of its last 20 bars' prices, and the
-- last day that it traded, NULL while it trades.
-- Parameter: name.
SELECT
    named.symbol,
    named.asset_class,
    named.calendar,
    coalesce(tracked.name, listed.name) AS title,
    coalesce(tracked.primary_exchange, listed.primary_exchange) AS exchange,
    (SELECT b.close FROM bars AS b WHERE b.symbol_id = named.symbol_id ORDER BY b.date DESC LIMIT 1) AS close,
    (
        SELECT max(scale(trim_scale(price.value::numeric)))
        FROM (SELECT b.open, b.high, b.low, b.close FROM bars AS b WHERE b.symbol_id = named.symbol_id ORDER BY b.date DESC LIMIT 20)
            AS recent
        CROSS JOIN LATERAL (VALUES (recent.open), (recent.high), (recent.low), (recent.close)) AS price (value)
    ) AS decimals,
    coalesce(tracked.delisted_on, CASE listed.state WHEN 'ended' THEN listed.last_session END) AS ended_on
FROM symbol_identities AS named
LEFT JOIN tracked_symbols AS tracked ON tracked.id = named.symbol_id
LEFT JOIN listings AS listed ON listed.symbol = named.symbol
WHERE named.symbol = :name
