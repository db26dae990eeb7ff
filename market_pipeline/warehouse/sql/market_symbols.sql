-- Every symbol on a calendar, once for each ticker period of its security, with its first and last bar in the market's sessions.
-- Parameter: calendar.
SELECT
    named.symbol_id, named.symbol, named.asset_class,
    tracked.id IS NOT NULL AS is_tracked, coalesce(tracked.active, false) AS is_active, tracked.delisted_on,
    coalesce(period.ticker, tracked.vendor_ticker) AS ticker, period.first_day, period.last_day,
    listed.first_session, listed.last_session
FROM symbol_identities AS named
LEFT JOIN tracked_symbols AS tracked ON tracked.id = named.symbol_id
LEFT JOIN security_tickers AS period ON period.security_id = named.security_id
LEFT JOIN market_listings AS listed ON listed.symbol_id = named.symbol_id
WHERE named.calendar = :calendar
