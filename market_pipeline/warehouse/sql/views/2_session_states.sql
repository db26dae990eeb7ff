-- Every session for which an active symbol should have a bar, with the reason if it has none. A symbol's span is computed
-- once (MATERIALIZED) and not for every session, but conditions on the view still reach its parts.
CREATE OR REPLACE VIEW session_states AS
WITH span AS MATERIALIZED (
    SELECT
        tracked.id, tracked.symbol, tracked.calendar, tracked.delisted_on, tracked.security_id,
        (SELECT min(start_date) FROM backfill_history AS h WHERE h.symbol = tracked.symbol) AS first_asked,
        (SELECT max(end_date) FROM backfill_history AS h WHERE h.symbol = tracked.symbol) AS last_asked,
        (SELECT min(date) FROM bars AS b WHERE b.symbol_id = tracked.id) AS first_bar
    FROM tracked_symbols AS tracked
    WHERE tracked.active
),
over AS NOT MATERIALIZED (
    SELECT
        span.id, span.symbol, span.calendar, span.security_id, span.last_asked, session.date,
        coalesce(span.first_bar, span.first_asked) AS first
    FROM span
    JOIN sessions AS session
        ON session.calendar = span.calendar
        AND session.date >= span.first_asked
        AND session.date < (now() AT TIME ZONE 'UTC')::date
        AND session.date <= coalesce(span.delisted_on, 'infinity')
),
without_bar AS (
    SELECT
        over.*,
        -- Loads before that requested another ticker, or brought a bar that was deleted since: they say nothing of the session.
        (
            SELECT greatest(
                max(ticker.known_since) FILTER (WHERE ticker.is_of_date),
                -- A bar that another security got back is none of this one's, which had no ticker then.
                CASE
                    WHEN coalesce(bool_or(ticker.is_of_date), true) THEN (
                        SELECT max(loads.point)
                        FROM bars_revisions AS deleted
                        JOIN loads ON loads.id = deleted.replaced_by
                        WHERE deleted.symbol_id = over.id AND deleted.date = over.date
                    )
                END
            )
            FROM (
                SELECT
                    t.known_since,
                    over.date BETWEEN coalesce(t.first_day, '-infinity') AND coalesce(t.last_day, 'infinity') AS is_of_date
                FROM security_tickers AS t
                WHERE t.security_id = over.security_id
            ) AS ticker
        ) AS known_since
    FROM over
    WHERE NOT EXISTS (SELECT FROM bars AS b WHERE b.symbol_id = over.id AND b.date = over.date)
),
explained AS (
    SELECT
        without_bar.symbol, without_bar.calendar, without_bar.date, without_bar.first,
        without_bar.known_since IS NOT NULL AND asked.run_id IS NULL AS is_reassigned,
        CASE
            WHEN rejected.run_id IS NOT NULL THEN 'rejected'
            WHEN answered.run_id IS NOT NULL THEN 'empty'
            WHEN asked.run_id IS NULL THEN 'never_asked'
            WHEN NOT asked.success THEN 'failed'
            WHEN without_bar.date > asked.answered_to THEN 'not_yet_available'
            ELSE 'not_in_plan'
        END AS state,
        CASE
            WHEN rejected.run_id IS NOT NULL THEN array_to_string(rejected.reasons, '; ')
            WHEN answered.run_id IS NULL THEN coalesce(asked.error_details, asked.notes)
        END AS reason,
        coalesce(rejected.run_id, answered.run_id, asked.run_id) AS run_id,
        coalesce(rejected.last_rejected_at, answered.backfill_timestamp, asked.backfill_timestamp) AS asked_at
    FROM without_bar
    LEFT JOIN LATERAL (
        SELECT h.run_id, h.backfill_timestamp
        FROM backfill_history AS h
        WHERE h.symbol = without_bar.symbol AND without_bar.date BETWEEN h.answered_from AND h.answered_to
            AND without_bar.date <= without_bar.last_asked  -- else there is nothing to look for among all its loads
            AND h.backfill_timestamp >= coalesce(without_bar.known_since, '-infinity')
        ORDER BY h.backfill_timestamp DESC
        LIMIT 1
    ) AS answered ON true
    LEFT JOIN LATERAL (
        SELECT r.reasons, r.run_id, r.last_rejected_at
        FROM rejected_bars AS r
        WHERE r.symbol = without_bar.symbol AND r.date = without_bar.date
          -- A bar outside the request says nothing about its session, nor does one that the vendor has withdrawn since.
          AND NOT EXISTS (SELECT FROM unnest(r.reasons) AS broken WHERE starts_with(broken, 'outside_request:'))
          AND r.last_rejected_at >= coalesce(without_bar.known_since, '-infinity')
          AND (answered.run_id IS NULL OR r.run_id = answered.run_id OR r.last_rejected_at > answered.backfill_timestamp)
        ORDER BY r.last_rejected_at DESC
        LIMIT 1
    ) AS rejected ON true
    LEFT JOIN LATERAL (
        SELECT h.run_id, h.success, h.answered_to, h.error_details, h.notes, h.backfill_timestamp
        FROM backfill_history AS h
        WHERE h.symbol = without_bar.symbol AND without_bar.date BETWEEN h.start_date AND h.end_date
            AND without_bar.date <= without_bar.last_asked
            AND h.backfill_timestamp >= coalesce(without_bar.known_since, '-infinity')
        ORDER BY h.backfill_timestamp DESC
        LIMIT 1
    ) AS asked ON true
)
SELECT over.symbol, over.calendar, over.date, 'loaded' AS state, NULL AS reason, loads.run_id, loads.point AS asked_at
FROM over
JOIN bars AS b ON b.symbol_id = over.id AND b.date = over.date
LEFT JOIN loads ON loads.id = b.load_id
UNION ALL
SELECT symbol, calendar, date, state, reason, run_id, asked_at
FROM explained
-- Before the first bar a session is expected only if its load is known to have gone wrong, or requested another ticker.
WHERE date >= first OR state IN ('failed', 'rejected', 'not_yet_available') OR is_reassigned;

COMMENT ON VIEW session_states IS
    'Every session that is over, of every active symbol since its first bar (or the first request), and what '
    'is known of it.';
COMMENT ON COLUMN session_states.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN session_states.calendar IS 'Its trading calendar.';
COMMENT ON COLUMN session_states.date IS 'The session.';
COMMENT ON COLUMN session_states.state IS
    'loaded; rejected (its bar can''t be true); empty (the vendor has confirmed that there is none); not_yet_available and '
    'not_in_plan (the vendor''s plan doesn''t give it yet, or at all); failed; never_asked.';
COMMENT ON COLUMN session_states.reason IS 'Why there is no bar, if that is known.';
COMMENT ON COLUMN session_states.run_id IS 'The run that established the state; NULL if never requested.';
COMMENT ON COLUMN session_states.asked_at IS 'The time of that run; NULL if never requested.';
