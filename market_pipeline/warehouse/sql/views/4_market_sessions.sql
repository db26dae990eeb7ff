-- Every session of each market that is over, from the first one that was requested.
CREATE OR REPLACE VIEW market_sessions AS
SELECT
    markets.market,
    session.date,
    CASE
        WHEN loaded.id IS NOT NULL AND counted.later_changes > 0 THEN 'corrected'
        WHEN loaded.id IS NOT NULL THEN 'loaded'
        WHEN newest.suspicious THEN 'suspicious'
        WHEN starts_with(newest.error_details, 'not available yet') THEN 'not_yet_available'
        WHEN starts_with(newest.error_details, 'not in your plan') THEN 'not_in_plan'
        WHEN newest.id IS NOT NULL THEN 'failed'
        ELSE 'never_asked'
    END AS state,
    loaded.tickers,
    loaded.origin,
    loaded.version,
    loaded.ended_at AS loaded_at,
    coalesce(newest.error_details, newest.notes) AS reason,
    newest.run_id
FROM markets
JOIN sessions AS session
    ON session.calendar = markets.calendar
    AND session.date >= (SELECT min(l.date) FROM market_loads AS l WHERE l.market = markets.market)
    AND session.date < (now() AT TIME ZONE 'UTC')::date
CROSS JOIN LATERAL (
    SELECT
        max(l.id) AS newest,
        max(l.id) FILTER (WHERE l.success) AS newest_success,
        sum(l.loaded + l.revised + l.withdrawn)
        - (array_agg(l.loaded + l.revised + l.withdrawn ORDER BY l.id) FILTER (WHERE l.success))[1] AS later_changes
    FROM market_loads AS l
    WHERE l.market = markets.market AND l.date = session.date
) AS counted
LEFT JOIN market_loads AS newest ON newest.id = counted.newest
LEFT JOIN market_loads AS loaded ON loaded.id = counted.newest_success;

COMMENT ON VIEW market_sessions IS
    'Every session of each market since the first one that was requested, up to the newest that is over, and what is known of it.';
COMMENT ON COLUMN market_sessions.market IS 'The market, as in markets.';
COMMENT ON COLUMN market_sessions.date IS 'The session.';
COMMENT ON COLUMN market_sessions.state IS
    'loaded; corrected (loaded, and changed by a later load); suspicious (the response can''t be the whole session; nothing is '
    'stored); not_yet_available and not_in_plan (the vendor''s plan doesn''t give it yet, or at all); failed; never_asked.';
COMMENT ON COLUMN market_sessions.tickers IS 'Bars of the session after its newest successful load; NULL without one.';
COMMENT ON COLUMN market_sessions.origin IS 'The vendor''s interface that it came from: grouped or flat file.';
COMMENT ON COLUMN market_sessions.version IS 'The flat file''s ETag; NULL of a grouped response.';
COMMENT ON COLUMN market_sessions.loaded_at IS 'When it was last loaded; NULL if never.';
COMMENT ON COLUMN market_sessions.reason IS
    'The error of its newest load, even if an earlier one succeeded, or its notes; NULL without any.';
COMMENT ON COLUMN market_sessions.run_id IS 'The run of its newest load; NULL if never requested.';
