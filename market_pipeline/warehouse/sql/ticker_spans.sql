-- The symbols that had a ticker, with their calendars and the days; NULL for no limit. Parameters: ticker.
SELECT named.symbol, named.calendar, period.first_day, period.last_day
FROM security_tickers AS period
JOIN symbol_identities AS named ON named.security_id = period.security_id
WHERE period.ticker = :ticker
UNION ALL
SELECT tracked.symbol, tracked.calendar, NULL, NULL
FROM tracked_symbols AS tracked
WHERE tracked.vendor_ticker = :ticker AND tracked.security_id IS NULL
ORDER BY first_day NULLS FIRST
