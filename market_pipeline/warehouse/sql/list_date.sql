-- The first day of a symbol's security on the market, as a source states it; NULL if none does. Parameters: symbol.
SELECT CASE WHEN period.source <> 'assumed' THEN period.first_day END AS list_date
FROM symbol_identities AS named
JOIN security_tickers AS period ON period.security_id = named.security_id
WHERE named.symbol = :symbol
ORDER BY period.first_day NULLS FIRST
LIMIT 1
