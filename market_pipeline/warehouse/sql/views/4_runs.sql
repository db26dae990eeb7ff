-- The load records of every run, summed over its symbols.
CREATE OR REPLACE VIEW runs AS
SELECT
    run_id,
    min(trigger) AS trigger,
    min(started_at) AS started_at,
    max(backfill_timestamp) AS ended_at,
    min(start_date) AS start_date,
    max(end_date) AS end_date,
    count(DISTINCT symbol) AS symbols,  -- one that a market feeds has a load record for each of some sessions
    count(DISTINCT symbol) - count(DISTINCT symbol) FILTER (WHERE NOT success) AS succeeded,
    count(DISTINCT symbol) FILTER (WHERE NOT success) AS failed,
    sum(sessions) AS sessions,
    sum(answered) AS answered,
    sum(refused) AS refused,
    sum(requests) AS requests,
    sum(fetched) AS fetched,
    sum(loaded) AS loaded,
    sum(revised) AS revised,
    sum(unchanged) AS unchanged,
    sum(rejected) AS rejected,
    sum(flagged) AS flagged,
    sum(missing) AS missing,
    sum(waited_seconds) AS waited_seconds
FROM backfill_history
GROUP BY run_id;

COMMENT ON VIEW runs IS 'One row per run: backfill_history summed over its symbols.';
COMMENT ON COLUMN runs.run_id IS 'The run, as Dagster''s UI shows it.';
COMMENT ON COLUMN runs.trigger IS 'What started it: cli, schedule, api, backfill (from the UI) or manual.';
COMMENT ON COLUMN runs.started_at IS 'When work on its first symbol began.';
COMMENT ON COLUMN runs.ended_at IS 'When its last symbol was recorded.';
COMMENT ON COLUMN runs.start_date IS 'First requested session.';
COMMENT ON COLUMN runs.end_date IS 'Last requested session.';
COMMENT ON COLUMN runs.symbols IS 'Recorded symbols = succeeded + failed.';
COMMENT ON COLUMN runs.succeeded IS 'Symbols of which every load succeeded.';
COMMENT ON COLUMN runs.failed IS 'Symbols that failed; backfill_history.error_details says why.';
COMMENT ON COLUMN runs.sessions IS 'Symbols times requested sessions = answered + refused.';
COMMENT ON COLUMN runs.answered IS 'Of those, the ones that the vendor answered for, with a bar or without one.';
COMMENT ON COLUMN runs.refused IS 'Of those, the ones that failed or that the plan doesn''t give, or not yet.';
COMMENT ON COLUMN runs.requests IS 'HTTP requests it took, retries included.';
COMMENT ON COLUMN runs.fetched IS 'Different bars in the vendor''s responses = loaded + revised + unchanged + rejected.';
COMMENT ON COLUMN runs.loaded IS 'Bars that were new.';
COMMENT ON COLUMN runs.revised IS 'Bars that replaced another.';
COMMENT ON COLUMN runs.unchanged IS 'Bars that were there already.';
COMMENT ON COLUMN runs.rejected IS 'Bars that can''t be true.';
COMMENT ON COLUMN runs.flagged IS 'Bars that are flagged.';
COMMENT ON COLUMN runs.missing IS 'Requested sessions without a bar after the load.';
COMMENT ON COLUMN runs.waited_seconds IS
    'How long its requests waited for the rate limit, those that waited side by side added up.';
