-- Metrics of the pipeline for Prometheus, one row per series: metric, values of its labels in order, value.
WITH covered AS MATERIALIZED (
    SELECT * FROM coverage
),
sums AS (
    SELECT
        coalesce(sum(loaded), 0) AS loaded, coalesce(sum(rejected), 0) AS rejected, coalesce(sum(empty), 0) AS empty,
        coalesce(sum(not_yet_available), 0) AS not_yet_available, coalesce(sum(not_in_plan), 0) AS not_in_plan,
        coalesce(sum(failed), 0) AS failed, coalesce(sum(never_asked), 0) AS never_asked,
        coalesce(sum(flagged), 0) AS flagged
    FROM covered
),
history AS MATERIALIZED (
    SELECT
        h.trigger, tracked.calendar, max(h.id) AS last_id,
        count(*) FILTER (WHERE h.success) AS succeeded, count(*) FILTER (WHERE NOT h.success) AS failed,
        sum(h.loaded) AS loaded, sum(h.revised) AS revised, sum(h.unchanged) AS unchanged,
        sum(h.rejected) AS rejected, sum(h.requests) AS requests, sum(h.waited_seconds) AS waited
    FROM backfill_history AS h
    JOIN tracked_symbols AS tracked ON tracked.symbol = h.symbol
    GROUP BY h.trigger, tracked.calendar
),
last_runs AS MATERIALIZED (
    SELECT history.trigger, history.calendar, runs.started_at, runs.ended_at, runs.failed
    FROM history
    JOIN backfill_history AS newest ON newest.id = history.last_id
    CROSS JOIN LATERAL (SELECT * FROM runs WHERE runs.run_id = newest.run_id) AS runs
)
SELECT 'symbols' AS metric, ARRAY[asset_class] AS labels, count(*)::double precision AS value
FROM covered
GROUP BY asset_class
UNION ALL
SELECT
    'symbol_sessions_behind', ARRAY[symbol, calendar], behind
FROM covered
UNION ALL
SELECT 'symbols_by_health', ARRAY[judged.health], count(covered.symbol)
FROM (VALUES ('fine'), ('behind'), ('attention')) AS judged (health)
LEFT JOIN covered ON covered.health = judged.health
GROUP BY judged.health
UNION ALL
SELECT 'symbol_newest_bar_timestamp_seconds', ARRAY[symbol, calendar], extract(epoch FROM last_session)
FROM covered
WHERE last_session IS NOT NULL
UNION ALL
SELECT 'sessions', ARRAY[states.state], states.sessions
FROM sums
CROSS JOIN LATERAL (
    VALUES
        ('loaded', loaded), ('rejected', rejected), ('empty', empty), ('not_yet_available', not_yet_available),
        ('not_in_plan', not_in_plan), ('failed', failed), ('never_asked', never_asked)
) AS states (state, sessions)
UNION ALL
SELECT 'bars_flagged', ARRAY[]::text[], flagged
FROM sums
UNION ALL
SELECT 'bars', ARRAY[outcomes.outcome], coalesce(sum(outcomes.bars), 0)
FROM (VALUES (1)) AS always
LEFT JOIN history ON true
CROSS JOIN LATERAL (
    VALUES
        ('loaded', loaded), ('revised', revised), ('unchanged', unchanged), ('rejected', rejected)
) AS outcomes (outcome, bars)
GROUP BY outcomes.outcome
UNION ALL
SELECT 'symbol_loads', ARRAY[outcomes.outcome], coalesce(sum(outcomes.loads), 0)
FROM (VALUES (1)) AS always
LEFT JOIN history ON true
CROSS JOIN LATERAL (VALUES ('success', succeeded), ('failure', failed)) AS outcomes (outcome, loads)
GROUP BY outcomes.outcome
UNION ALL
SELECT 'vendor_requests', ARRAY[]::text[], coalesce(sum(requests), 0)
FROM history
UNION ALL
SELECT 'rate_limit_wait_seconds', ARRAY[]::text[], coalesce(sum(waited), 0)
FROM history
UNION ALL
SELECT 'last_run_start_timestamp_seconds', ARRAY[trigger, calendar], extract(epoch FROM started_at)
FROM last_runs
UNION ALL
SELECT 'last_run_duration_seconds', ARRAY[trigger, calendar], extract(epoch FROM ended_at - started_at)
FROM last_runs
UNION ALL
SELECT 'last_run_failed_symbols', ARRAY[trigger, calendar], failed
FROM last_runs
UNION ALL
SELECT 'last_run_success', ARRAY[trigger, calendar], (failed = 0)::int
FROM last_runs
