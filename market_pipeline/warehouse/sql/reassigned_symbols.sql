-- Those of :symbols whose ticker history was found to be another one than bars had been requested by.
SELECT DISTINCT tracked.symbol
FROM tracked_symbols AS tracked
JOIN security_tickers AS period ON period.security_id = tracked.security_id
WHERE tracked.symbol = ANY(CAST(:symbols AS text[])) AND period.known_since IS NOT NULL
ORDER BY tracked.symbol
