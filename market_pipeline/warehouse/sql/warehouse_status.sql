-- Totals of market_data: symbols, newest session, bars, bars without a flag, bars after an unexplained jump.
SELECT
    count(*) FILTER (WHERE held.newest IS NOT NULL) AS symbols,
    max(held.newest) AS newest,
    (SELECT count(*) FROM bars) AS bars,
    (SELECT count(*) FROM bars) - (SELECT count(*) FROM bar_flags WHERE flags <> '{}') AS validated,
    (SELECT count(*) FROM bar_flags WHERE gap_detected) AS gaps
FROM tracked_symbols AS tracked
CROSS JOIN LATERAL (SELECT max(date) AS newest FROM bars AS b WHERE b.symbol_id = tracked.id) AS held
