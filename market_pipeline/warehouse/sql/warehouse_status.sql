-- Totals of market_data: symbols, newest session, bars, bars without a flag, bars after an unexplained jump.
SELECT
    count(*) FILTER (WHERE held.newest IS NOT NULL) AS symbols,
    max(held.newest) AS newest,
    (SELECT count(*) FROM market_data) AS bars,
    (SELECT count(*) FROM market_data) - (SELECT count(*) FROM market_data WHERE NOT validated) AS validated,
    (SELECT count(*) FROM market_data WHERE NOT validated AND gap_detected) AS gaps
FROM tracked_symbols AS tracked
CROSS JOIN LATERAL (SELECT max(date) AS newest FROM market_data AS m WHERE m.symbol = tracked.symbol) AS held
