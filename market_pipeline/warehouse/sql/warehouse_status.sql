-- Totals of the tracked symbols' bars: symbols, newest session, bars, bars without a flag, bars after an unexplained jump.
SELECT
    count(*) FILTER (WHERE held.newest IS NOT NULL) AS symbols,
    max(held.newest) AS newest,
    coalesce(sum(held.bars), 0)::bigint AS bars,
    coalesce(sum(held.bars - flagged.flagged), 0)::bigint AS validated,
    coalesce(sum(flagged.gaps), 0)::bigint AS gaps
FROM tracked_symbols AS tracked
CROSS JOIN LATERAL (SELECT max(b.date) AS newest, count(*) AS bars FROM bars AS b WHERE b.symbol_id = tracked.id) AS held
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE f.flags <> '{}') AS flagged, count(*) FILTER (WHERE f.gap_detected) AS gaps
    FROM bar_flags AS f
    WHERE f.symbol_id = tracked.id
) AS flagged
