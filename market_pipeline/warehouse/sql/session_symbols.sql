-- The symbols of a calendar with their tickers on a day. Parameters: calendar, day.
SELECT named.symbol, coalesce(period.ticker, tracked.vendor_ticker, named.symbol) AS ticker
FROM symbol_identities AS named
LEFT JOIN tracked_symbols AS tracked ON tracked.id = named.symbol_id
LEFT JOIN security_tickers AS period
    ON period.security_id = named.security_id
    AND :day::date BETWEEN coalesce(period.first_day, '-infinity') AND coalesce(period.last_day, 'infinity')
WHERE named.calendar = :calendar
