-- Splits of some symbols (the factor for earlier prices), and their distributions in dollars that are large enough.
-- Parameters: symbols, least_cash (dollars a share; arrays of one length).
SELECT 'split' AS kind, symbol, execution_date AS date, split_from / split_to AS value
FROM splits
WHERE symbol = ANY(CAST(:symbols AS text[]))
UNION ALL
SELECT 'distribution', symbol, ex_dividend_date, sum(cash_amount)
FROM dividends
JOIN unnest(CAST(:symbols AS text[]), CAST(:least_cash AS double precision[])) AS concerned (symbol, least_cash) USING (symbol)
WHERE currency = 'USD'
GROUP BY symbol, ex_dividend_date
HAVING sum(cash_amount) >= min(least_cash)
