-- One row per active symbol: what is loaded, what is missing, and whether somebody has to act. This view alone decides
-- that: the asset checks, `status`, the page, the metrics, the alerts and the marts read it from here. Restricted to some
-- symbols, it counts no others: they are counted one by one (LATERAL).
CREATE OR REPLACE VIEW coverage AS
WITH counted AS (
    SELECT
        tracked.symbol, tracked.asset_class, tracked.calendar, counted.first_session, counted.last_session,
        coalesce(counted.sessions, 0) AS sessions,
        coalesce(counted.loaded, 0) AS loaded,
        coalesce(counted.rejected, 0) AS rejected,
        coalesce(counted.empty, 0) AS empty,
        coalesce(counted.not_yet_available, 0) AS not_yet_available,
        coalesce(counted.not_in_plan, 0) AS not_in_plan,
        coalesce(counted.failed, 0) AS failed,
        coalesce(counted.never_asked, 0) AS never_asked,
        (
            SELECT count(*) FROM bar_flags AS f WHERE f.symbol_id = tracked.id AND f.flags <> '{}'
        ) AS flagged,
        coalesce(counted.behind, 0) AS behind,
        tracked.last_backfill AS last_loaded_at,
        last.error_details AS last_error,
        coalesce(counted.sessions - counted.loaded, 0) AS missing,
        coalesce(counted.failed + counted.rejected + counted.never_asked, 0) AS fetchable,
        -- The newest session, if no run has requested it yet, is the next run's to fetch.
        coalesce(counted.last_never_asked = counted.last_expected, false)::int AS awaited
    FROM tracked_symbols AS tracked
    LEFT JOIN LATERAL (
        SELECT
            min(date) AS first_session,
            max(date) FILTER (WHERE state = 'loaded') AS last_session,
            max(date) AS last_expected,
            max(date) FILTER (WHERE state = 'never_asked') AS last_never_asked,
            count(*) AS sessions,
            count(*) FILTER (WHERE state = 'loaded') AS loaded,
            count(*) FILTER (WHERE state = 'rejected') AS rejected,
            count(*) FILTER (WHERE state = 'empty') AS empty,
            count(*) FILTER (WHERE state = 'not_yet_available') AS not_yet_available,
            count(*) FILTER (WHERE state = 'not_in_plan') AS not_in_plan,
            count(*) FILTER (WHERE state = 'failed') AS failed,
            count(*) FILTER (WHERE state = 'never_asked') AS never_asked,
            count(*) FILTER (WHERE state IN ('failed', 'rejected', 'never_asked') AND date > newest_bar) AS behind
        FROM (
            -- The loaded ones of session_states, without the load of each bar: looking it up takes four times as long.
            SELECT 'loaded' AS state, b.date
            FROM bars AS b
            -- A session's row is found by the key, and not by reading all of them for each symbol (LIMIT).
            CROSS JOIN LATERAL (
                SELECT FROM sessions AS s WHERE s.calendar = tracked.calendar AND s.date = b.date LIMIT 1
            ) AS is_session
            WHERE b.symbol_id = tracked.id
                AND b.date >= (SELECT min(h.start_date) FROM backfill_history AS h WHERE h.symbol = tracked.symbol)
                AND b.date < (now() AT TIME ZONE 'UTC')::date
                AND b.date <= coalesce(tracked.delisted_on, 'infinity')
            UNION ALL
            SELECT states.state, states.date
            FROM session_states AS states
            WHERE states.symbol = tracked.symbol AND states.state <> 'loaded'
        ) AS session
        CROSS JOIN (
            SELECT coalesce(max(b.date), '-infinity') AS newest_bar FROM bars AS b WHERE b.symbol_id = tracked.id
        ) AS newest
    ) AS counted ON true
    LEFT JOIN LATERAL (
        SELECT h.error_details
        FROM backfill_history AS h
        WHERE h.symbol = tracked.symbol
        ORDER BY h.backfill_timestamp DESC
        LIMIT 1
    ) AS last ON true
    WHERE tracked.active
)
SELECT
    symbol, asset_class, calendar, first_session, last_session, sessions, loaded, rejected, empty, not_yet_available,
    not_in_plan, failed, never_asked, flagged, behind, last_loaded_at, last_error, missing, fetchable,
    CASE
        -- A load that failed although its sessions have their bars leaves nothing to do.
        WHEN fetchable > awaited THEN 'attention'
        WHEN loaded = 0 AND sessions > 0 AND missing = empty THEN 'attention'
        WHEN fetchable > 0 OR sessions = 0 THEN 'behind'
        ELSE 'fine'
    END AS health,
    nullif(concat_ws(
        '; ',
        CASE WHEN fetchable > awaited THEN 'the last load failed: ' || last_error END,
        CASE
            WHEN fetchable > awaited THEN concat_ws(
                ', ',
                CASE WHEN failed > 0 THEN failed || ' failed' END,
                CASE WHEN rejected > 0 THEN rejected || ' rejected' END,
                CASE WHEN never_asked > 0 THEN never_asked || ' never requested' END
            ) || ' of ' || sessions || ' sessions'
            WHEN fetchable > 0 THEN 'the next run fetches the newest session'
            WHEN sessions = 0 THEN 'no session was requested yet'
            WHEN loaded = 0 AND missing = empty THEN 'the vendor has no bar of any session'
        END
    ), '') AS health_reason
FROM counted;

COMMENT ON VIEW coverage IS 'One row per active symbol: its loaded and missing sessions since its first, and its health.';
COMMENT ON COLUMN coverage.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN coverage.asset_class IS 'stock, etf or crypto.';
COMMENT ON COLUMN coverage.calendar IS 'Its trading calendar.';
COMMENT ON COLUMN coverage.first_session IS 'The first of its sessions here; NULL if none was ever requested.';
COMMENT ON COLUMN coverage.last_session IS 'The newest session that is loaded; NULL if none is.';
COMMENT ON COLUMN coverage.sessions IS 'Sessions since the first that are over = the sum of the next seven columns.';
COMMENT ON COLUMN coverage.loaded IS 'Sessions whose bar is in market_data.';
COMMENT ON COLUMN coverage.rejected IS 'Sessions whose bar was rejected: it can''t be true.';
COMMENT ON COLUMN coverage.empty IS 'Sessions for which the vendor has confirmed that there is no bar.';
COMMENT ON COLUMN coverage.not_yet_available IS 'Sessions that the vendor''s plan didn''t give yet when requested.';
COMMENT ON COLUMN coverage.not_in_plan IS 'Sessions before the history that the vendor''s plan gives.';
COMMENT ON COLUMN coverage.failed IS 'Sessions whose fetching or loading failed.';
COMMENT ON COLUMN coverage.never_asked IS 'Sessions that no run has requested yet.';
COMMENT ON COLUMN coverage.flagged IS 'Bars that a rule flagged; they are among the loaded ones.';
COMMENT ON COLUMN coverage.behind IS 'Fetchable sessions since the newest bar, or all of them if there is no bar; 0 if up to date.';
COMMENT ON COLUMN coverage.last_loaded_at IS 'When the symbol was last loaded successfully; NULL if never.';
COMMENT ON COLUMN coverage.last_error IS 'Why its last load failed; NULL if it didn''t.';
COMMENT ON COLUMN coverage.missing IS 'Sessions without a bar, for any reason = sessions - loaded.';
COMMENT ON COLUMN coverage.fetchable IS 'Sessions without a bar that a request may bring = failed + rejected + never_asked.';
COMMENT ON COLUMN coverage.health IS
    'fine; behind (the next run fetches what there is to fetch); or attention (somebody has to act).';
COMMENT ON COLUMN coverage.health_reason IS 'Why the symbol is behind or needs attention; NULL if it is fine.';
