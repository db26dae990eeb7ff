-- Sessions of the tracked symbols of a calendar that are settled: each with its bar, or known to have none, and why.
-- As after a symbol's own load, the newest sessions without a bar are left open, as it may still come.
-- Parameters: calendar, sessions.
SELECT
    tracked.symbol, session.date,
    CASE
        WHEN bar.date IS NOT NULL THEN NULL
        WHEN session.date > tracked.delisted_on THEN 'after its last day on the market, ' || tracked.delisted_on
        WHEN session.date < span.first THEN 'before its first bar, of ' || span.first
        ELSE 'the vendor has no bar of it'
    END AS reason
FROM tracked_symbols AS tracked
CROSS JOIN LATERAL (SELECT min(b.date) AS first, max(b.date) AS last FROM bars AS b WHERE b.symbol_id = tracked.id) AS span
CROSS JOIN unnest(CAST(:sessions AS date[])) AS session (date)
LEFT JOIN bars AS bar ON bar.symbol_id = tracked.id AND bar.date = session.date
WHERE
    tracked.active
    AND tracked.calendar = :calendar
    AND (
        bar.date IS NOT NULL
        OR (
            (
                session.date > tracked.delisted_on
                OR session.date < span.last
                OR session.date < (now() AT TIME ZONE 'UTC')::date - 7
            )
            AND NOT EXISTS (
                SELECT FROM rejected_bars AS r WHERE r.symbol = tracked.symbol AND r.date = session.date
            )
        )
    )
ORDER BY tracked.symbol, session.date
