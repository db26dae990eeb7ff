-- What is there of every active symbol, and what is missing. Asked for some symbols, it counts no others: they are
-- counted one by one (LATERAL).
CREATE OR REPLACE VIEW coverage AS
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
        SELECT count(*) FROM market_data AS m WHERE m.symbol = tracked.symbol AND NOT m.validated
    ) AS flagged,
    (
        SELECT count(*)
        FROM sessions AS s
        WHERE s.calendar = tracked.calendar AND s.date > counted.last_session AND s.date <= counted.newest
    ) AS behind,
    tracked.last_backfill AS last_loaded_at,
    last.error_details AS last_error
FROM tracked_symbols AS tracked
LEFT JOIN LATERAL (
    SELECT
        min(date) AS first_session,
        max(date) FILTER (WHERE state = 'loaded') AS last_session,
        count(*) AS sessions,
        count(*) FILTER (WHERE state = 'loaded') AS loaded,
        count(*) FILTER (WHERE state = 'rejected') AS rejected,
        count(*) FILTER (WHERE state = 'empty') AS empty,
        count(*) FILTER (WHERE state = 'not_yet_available') AS not_yet_available,
        count(*) FILTER (WHERE state = 'not_in_plan') AS not_in_plan,
        count(*) FILTER (WHERE state = 'failed') AS failed,
        count(*) FILTER (WHERE state = 'never_asked') AS never_asked,
        max(date) FILTER (WHERE state <> 'empty') AS newest
    FROM session_states AS session
    WHERE session.symbol = tracked.symbol
) AS counted ON true
LEFT JOIN LATERAL (
    SELECT h.error_details
    FROM backfill_history AS h
    WHERE h.symbol = tracked.symbol
    ORDER BY h.backfill_timestamp DESC
    LIMIT 1
) AS last ON true
WHERE tracked.active;

COMMENT ON VIEW coverage IS 'One row per active symbol: what is there of it since its first session, and what is missing.';
COMMENT ON COLUMN coverage.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN coverage.asset_class IS 'stock, etf or crypto.';
COMMENT ON COLUMN coverage.calendar IS 'Its trading calendar.';
COMMENT ON COLUMN coverage.first_session IS 'Where its sessions begin here; NULL if none was ever asked for.';
COMMENT ON COLUMN coverage.last_session IS 'The newest session that is loaded; NULL if none is.';
COMMENT ON COLUMN coverage.sessions IS 'Sessions since the first that are over = the sum of the next seven columns.';
COMMENT ON COLUMN coverage.loaded IS 'Sessions whose bar is in market_data.';
COMMENT ON COLUMN coverage.rejected IS 'Sessions whose bar can''t be true and was kept aside.';
COMMENT ON COLUMN coverage.empty IS 'Sessions that the vendor was asked for and has no bar of.';
COMMENT ON COLUMN coverage.not_yet_available IS 'Sessions that the vendor''s plan didn''t give yet when asked for.';
COMMENT ON COLUMN coverage.not_in_plan IS 'Sessions before the history that the vendor''s plan gives.';
COMMENT ON COLUMN coverage.failed IS 'Sessions whose fetching or loading failed.';
COMMENT ON COLUMN coverage.never_asked IS 'Sessions that nobody has asked the vendor for yet.';
COMMENT ON COLUMN coverage.flagged IS 'Bars that a rule found odd; they are among the loaded ones.';
COMMENT ON COLUMN coverage.behind IS 'Sessions since the newest loaded one that could have a bar; 0 where up to date.';
COMMENT ON COLUMN coverage.last_loaded_at IS 'When the symbol was last loaded successfully; NULL if never.';
COMMENT ON COLUMN coverage.last_error IS 'Why its last load failed; NULL if it didn''t.';
