-- Tracked symbols with the number and the dates of their bars. Parameters: name (NULL for all), active_only.
SELECT
    tracked.id, tracked.symbol, tracked.asset_class, tracked.active, tracked.date_added, tracked.last_backfill,
    tracked.backfill_status, held.bars AS record_count, held.first_date AS start, held.last_date AS "end",
    (held.bars - held.flagged)::double precision / nullif(held.bars, 0) AS validation_rate, held.gaps AS gaps_detected
FROM tracked_symbols AS tracked
CROSS JOIN LATERAL (
    SELECT
        count(*) AS bars, min(b.date) AS first_date, max(b.date) AS last_date,
        count(*) FILTER (WHERE f.flags <> '{}') AS flagged, count(*) FILTER (WHERE f.gap_detected) AS gaps
    FROM bars AS b
    LEFT JOIN bar_flags AS f ON f.symbol_id = b.symbol_id AND f.date = b.date
    WHERE b.symbol_id = tracked.id
) AS held
WHERE (CAST(:name AS text) IS NULL OR tracked.symbol = :name) AND (tracked.active OR NOT :active_only)
ORDER BY tracked.symbol
