-- The symbol that isn't tracked yet and has a ticker until today: symbol_id, security_id. Parameters: ticker, calendar.
SELECT named.symbol_id, named.security_id
FROM security_tickers AS period
JOIN symbol_identities AS named ON named.security_id = period.security_id AND named.calendar = :calendar
WHERE period.ticker = :ticker AND period.last_day IS NULL
    AND NOT EXISTS (SELECT FROM tracked_symbols AS t WHERE t.id = named.symbol_id)
ORDER BY period.first_day DESC NULLS LAST
LIMIT 1
