-- The number of tickers of a market's loaded sessions from the first to the last date. Parameters: market, first, last.
SELECT date, (array_agg(tickers ORDER BY id DESC))[1] AS tickers
FROM market_loads
WHERE market = :market AND date BETWEEN :first AND :last AND success
GROUP BY date
