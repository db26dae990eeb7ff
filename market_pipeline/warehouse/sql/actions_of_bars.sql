-- Splits of some symbols (the factor for earlier prices), and their distributions in dollars that are large enough.
-- Parameters: symbol_ids, least_cash (dollars a share; arrays of one length).
WITH concerned AS MATERIALIZED (
    SELECT named.symbol_id, named.symbol, requested.least_cash
    FROM unnest(CAST(:symbol_ids AS integer[]), CAST(:least_cash AS double precision[]))
        AS requested (symbol_id, least_cash)
    JOIN symbol_identities AS named USING (symbol_id)
)
SELECT 'split' AS kind, symbol_id, execution_date AS date, split_from / split_to AS value
FROM splits
JOIN concerned USING (symbol)
UNION ALL
SELECT 'distribution', symbol_id, ex_dividend_date, sum(cash_amount)
FROM dividends
JOIN concerned USING (symbol)
WHERE currency = 'USD'
GROUP BY symbol_id, ex_dividend_date
HAVING sum(cash_amount) >= min(least_cash)
