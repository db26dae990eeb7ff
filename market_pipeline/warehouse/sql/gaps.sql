-- Sessions without a bar, as ranges of the same state and reason. Parameter: symbols.
WITH numbered AS (
    SELECT
        symbol, date, state, reason,
        row_number() OVER (PARTITION BY symbol ORDER BY date)
            - row_number() OVER (PARTITION BY symbol, state, reason ORDER BY date) AS island
    FROM session_states
    WHERE symbol = ANY(:symbols)
)
SELECT symbol, min(date) AS first_session, max(date) AS last_session, count(*) AS sessions, state, reason
FROM numbered
WHERE state <> 'loaded'
GROUP BY symbol, state, reason, island
ORDER BY symbol, first_session
