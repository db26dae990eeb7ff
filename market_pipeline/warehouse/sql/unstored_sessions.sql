-- The dates on which a file, in the temporary table staged_prices, has a row of a symbol and the warehouse no bar: is it
-- a session, and what is known of it. The view is evaluated once. Parameters: symbol, first, last.
WITH states AS MATERIALIZED (
    SELECT date, state, reason
    FROM session_states
    WHERE symbol = :symbol AND date BETWEEN :first AND :last AND state <> 'loaded'
),
stored AS MATERIALIZED (
    SELECT date
    FROM bars
    WHERE symbol_id = (SELECT id FROM tracked_symbols WHERE symbol = :symbol) AND date BETWEEN :first AND :last
)
SELECT file.date, symbols.calendar, sessions.date IS NOT NULL AS is_session, states.state, states.reason
FROM staged_prices AS file
JOIN tracked_symbols AS symbols ON symbols.symbol = file.symbol
LEFT JOIN sessions ON sessions.calendar = symbols.calendar AND sessions.date = file.date
LEFT JOIN states ON states.date = file.date
WHERE file.symbol = :symbol
    AND file.date BETWEEN :first AND :last
    AND file.date NOT IN (SELECT date FROM stored)
