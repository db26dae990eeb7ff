-- Symbols with their names, markets, and first and last bar, in the given order. Parameter: ids.
SELECT
    named.symbol, named.asset_class, named.calendar, listing.market, coalesce(tracked.name, listing.name) AS name,
    coalesce(tracked.active, false) AS tracked,
    coalesce(tracked.delisted_on IS NOT NULL OR listing.state = 'ended', false) AS ended,
    held.first_session, held.last_session
FROM unnest(CAST(:ids AS integer[])) WITH ORDINALITY AS wanted (id, place)
JOIN symbol_identities AS named ON named.symbol_id = wanted.id
LEFT JOIN tracked_symbols AS tracked ON tracked.id = named.symbol_id
LEFT JOIN LATERAL (
    SELECT l.market, l.name, l.state FROM listings AS l
    WHERE l.symbol = named.symbol AND l.security_id = named.security_id
    LIMIT 1
) AS listing ON true
CROSS JOIN LATERAL (
    SELECT min(b.date) AS first_session, max(b.date) AS last_session FROM bars AS b WHERE b.symbol_id = named.symbol_id
) AS held
ORDER BY wanted.place
