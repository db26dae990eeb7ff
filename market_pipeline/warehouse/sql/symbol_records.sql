-- Tracked symbols with the number and the dates of their bars. Parameters: name (NULL for all), active_only.
SELECT
    tracked.id, tracked.symbol, tracked.asset_class, tracked.active, tracked.date_added, tracked.last_backfill,
    tracked.backfill_status, held.bars AS record_count, held.first_date AS start, held.last_date AS "end",
    (held.bars - held.flagged)::double precision / nullif(held.bars, 0) AS validation_rate, held.gaps AS gaps_detected
FROM tracked_symbols AS tracked
CROSS JOIN LATERAL (
    SELECT
        count(*) AS bars, min(date) AS first_date, max(date) AS last_date,
        count(*) FILTER (WHERE NOT validated) AS flagged, count(*) FILTER (WHERE gap_detected) AS gaps
    FROM market_data AS bar
    WHERE bar.symbol = tracked.symbol
) AS held
WHERE (CAST(:name AS text) IS NULL OR tracked.symbol = :name) AND (tracked.active OR NOT :active_only)
ORDER BY tracked.symbol
