-- Every symbol that was ever tracked, with its first and last bar and the number of its bars.
SELECT
    tracked.symbol, tracked.asset_class, tracked.calendar, tracked.name, tracked.active,
    held.first_date, held.last_date, held.bars
FROM tracked_symbols AS tracked
-- One symbol after the other, so that bars of symbols that only a market's sessions have aren't read.
CROSS JOIN LATERAL (
    SELECT min(b.date) AS first_date, max(b.date) AS last_date, count(*) AS bars
    FROM bars AS b
    WHERE b.symbol_id = tracked.id
) AS held
ORDER BY tracked.symbol
