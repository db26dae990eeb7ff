-- The ticker periods of symbols that aren't tracked which overlap with one of a security: period, symbol, its days, and the days that
-- are the security's. Parameters: security_id, calendar.
SELECT
    other.id AS period_id, named.symbol_id, other.security_id, other.ticker, other.first_day, other.last_day,
    greatest(coalesce(own.first_day, DATE '0001-01-01'), coalesce(other.first_day, DATE '0001-01-01')) AS first,
    least(coalesce(own.last_day, DATE '9999-12-31'), coalesce(other.last_day, DATE '9999-12-31')) AS last
FROM security_tickers AS own
JOIN security_tickers AS other ON other.ticker = own.ticker AND other.security_id <> own.security_id
JOIN symbol_identities AS named ON named.security_id = other.security_id AND named.calendar = :calendar
WHERE own.security_id = :security_id
    AND coalesce(own.first_day, DATE '0001-01-01') <= coalesce(other.last_day, DATE '9999-12-31')
    AND coalesce(other.first_day, DATE '0001-01-01') <= coalesce(own.last_day, DATE '9999-12-31')
    AND NOT EXISTS (SELECT FROM tracked_symbols AS t WHERE t.id = named.symbol_id)
ORDER BY other.id, own.id
