-- One symbol's splits (the factor for earlier prices) and its distributions in dollars of at least :least_cash a share.
-- Parameters: symbol, least_cash.
SELECT 'split' AS kind, execution_date AS date, split_from / split_to AS value
FROM splits
WHERE symbol = :symbol
UNION ALL
SELECT 'distribution', ex_dividend_date, sum(cash_amount)
FROM dividends
WHERE symbol = :symbol AND currency = 'USD'
GROUP BY ex_dividend_date
HAVING sum(cash_amount) >= :least_cash
