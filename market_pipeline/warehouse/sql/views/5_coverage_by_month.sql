-- Coverage of every active symbol by month. Restricted to some symbols, it counts no others.
CREATE OR REPLACE VIEW coverage_by_month AS
WITH counted AS (
    SELECT
        symbol,
        date_trunc('month', date)::date AS month,
        count(*) AS sessions,
        count(*) FILTER (WHERE state = 'loaded') AS loaded,
        count(*) FILTER (WHERE state = 'rejected') AS rejected,
        count(*) FILTER (WHERE state = 'empty') AS empty,
        count(*) FILTER (WHERE state = 'not_yet_available') AS not_yet_available,
        count(*) FILTER (WHERE state = 'not_in_plan') AS not_in_plan,
        count(*) FILTER (WHERE state = 'failed') AS failed,
        count(*) FILTER (WHERE state = 'never_asked') AS never_asked
    FROM session_states
    GROUP BY symbol, date_trunc('month', date)
)
SELECT
    counted.symbol, counted.month, counted.sessions, counted.loaded, counted.rejected, counted.empty,
    counted.not_yet_available, counted.not_in_plan, counted.failed, counted.never_asked,
    (
        SELECT count(*)
        FROM tracked_symbols AS tracked
        JOIN bar_flags AS f ON f.symbol_id = tracked.id
        WHERE tracked.symbol = counted.symbol
            AND f.date >= counted.month AND f.date < (counted.month + interval '1 month')::date
            AND f.flags <> '{}'
    ) AS flagged
FROM counted;

COMMENT ON VIEW coverage_by_month IS
    'One row per active symbol and month: how many of its sessions are loaded, and why the others are not.';
COMMENT ON COLUMN coverage_by_month.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN coverage_by_month.month IS 'The month, by its first day.';
COMMENT ON COLUMN coverage_by_month.sessions IS 'Sessions that are over = the sum of the next seven columns.';
COMMENT ON COLUMN coverage_by_month.loaded IS 'Sessions whose bar is in market_data.';
COMMENT ON COLUMN coverage_by_month.rejected IS 'Sessions whose bar was rejected: it can''t be true.';
COMMENT ON COLUMN coverage_by_month.empty IS 'Sessions for which the vendor has confirmed that there is no bar.';
COMMENT ON COLUMN coverage_by_month.not_yet_available IS 'Sessions that the vendor''s plan didn''t give yet.';
COMMENT ON COLUMN coverage_by_month.not_in_plan IS 'Sessions before the history that the vendor''s plan gives.';
COMMENT ON COLUMN coverage_by_month.failed IS 'Sessions whose fetching or loading failed.';
COMMENT ON COLUMN coverage_by_month.never_asked IS 'Sessions that no run has requested yet.';
COMMENT ON COLUMN coverage_by_month.flagged IS 'Bars that a rule flagged; they are among the loaded ones.';
