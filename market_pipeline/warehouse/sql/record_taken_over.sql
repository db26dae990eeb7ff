-- Writes load records of a symbol that is tracked from now on, of the market's sessions that are loaded: one for those without
-- another session between them. Parameter: symbol_id.
WITH loaded AS (
    SELECT tracked.id, tracked.symbol, l.market, l.date, max(l.id) AS newest
    FROM tracked_symbols AS tracked
    JOIN market_listings AS listed ON listed.symbol_id = tracked.id
    JOIN market_loads AS l ON l.market = listed.market AND l.success
    WHERE tracked.id = :symbol_id
    GROUP BY tracked.id, tracked.symbol, l.market, l.date
),
placed AS (
    SELECT
        loaded.*, s.place - row_number() OVER (ORDER BY loaded.date) AS run,
        b.date IS NOT NULL AS has_bar, f.date IS NOT NULL AS is_flagged
    FROM loaded
    JOIN (
        SELECT sessions.date, row_number() OVER (ORDER BY sessions.date) AS place
        FROM sessions
        WHERE sessions.calendar = (SELECT tracked.calendar FROM tracked_symbols AS tracked WHERE tracked.id = :symbol_id)
    ) AS s ON s.date = loaded.date
    LEFT JOIN bars AS b ON b.symbol_id = loaded.id AND b.date = loaded.date
    LEFT JOIN bar_flags AS f ON f.symbol_id = loaded.id AND f.date = loaded.date AND f.flags <> '{}'
),
recorded AS (
    INSERT INTO backfill_history (
        run_id, trigger, symbol, start_date, end_date, sessions, answered, refused, answered_from, answered_to, requests,
        fetched, loaded, revised, unchanged, rejected, flagged, missing, records_imported, started_at, success, notes,
        backfill_timestamp, duration_seconds
    )
    SELECT
        l.run_id, l.trigger, placed.symbol, min(placed.date), max(placed.date), count(*), count(*), 0, min(placed.date),
        max(placed.date), 0, count(*) FILTER (WHERE placed.has_bar), 0, 0, count(*) FILTER (WHERE placed.has_bar), 0,
        count(*) FILTER (WHERE placed.is_flagged), count(*) FILTER (WHERE NOT placed.has_bar), 0, clock_timestamp(), true,
        'it was in the sessions of the market ' || replace(placed.market, '_', '-') || ' before it was tracked',
        clock_timestamp(), 0
    FROM placed
    JOIN market_loads AS l ON l.id = (SELECT max(p.newest) FROM placed AS p WHERE p.run = placed.run)
    GROUP BY placed.symbol, placed.market, placed.run, l.run_id, l.trigger
    RETURNING symbol
)
UPDATE tracked_symbols AS tracked
SET backfill_status = 'completed', last_backfill = now()
WHERE tracked.symbol IN (SELECT symbol FROM recorded)
