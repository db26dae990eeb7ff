-- Every symbol that was ever tracked, with its first and last bar and the number of its bars.
SELECT
    tracked.symbol, tracked.asset_class, tracked.calendar, tracked.name, tracked.active,
    held.first_date, held.last_date, coalesce(held.bars, 0) AS bars
FROM tracked_symbols AS tracked
LEFT JOIN (
    SELECT symbol_id, min(date) AS first_date, max(date) AS last_date, count(*) AS bars
    FROM bars
    GROUP BY symbol_id
) AS held ON held.symbol_id = tracked.id
ORDER BY tracked.symbol
