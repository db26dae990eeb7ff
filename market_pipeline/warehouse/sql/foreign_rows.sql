-- Data in the warehouse beside the bars of some symbols and dates: kind (symbol, bar, API key), name and number.
-- Parameters: symbols and first_dates, arrays of the same length, last_date, source (of the known bars).
SELECT 'symbol' AS kind, symbol AS name, 1 AS number
FROM tracked_symbols
WHERE symbol <> ALL(CAST(:symbols AS text[]))
UNION ALL
SELECT 'bar', symbol, count(*)
FROM market_data
LEFT JOIN unnest(CAST(:symbols AS text[]), CAST(:first_dates AS date[])) AS known (name, first_date) ON name = symbol
WHERE name IS NULL OR date NOT BETWEEN first_date AND CAST(:last_date AS date) OR source <> :source
GROUP BY symbol
UNION ALL
SELECT 'API key', name, 1
FROM access.api_keys
