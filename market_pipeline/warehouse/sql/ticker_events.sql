-- The tickers of the security that has a ticker now, newest first, if a source states them. Parameters: ticker.
SELECT
    coalesce(security.name, tracked.name) AS name, security.composite_figi, security.cik, period.ticker, period.first_day
FROM security_tickers AS present
JOIN security_tickers AS period ON period.security_id = present.security_id
JOIN securities AS security ON security.id = present.security_id
JOIN symbol_identities AS named ON named.security_id = present.security_id
LEFT JOIN tracked_symbols AS tracked ON tracked.id = named.symbol_id
WHERE present.ticker = :ticker AND present.last_day IS NULL AND present.source <> 'assumed'
ORDER BY period.first_day DESC NULLS LAST
