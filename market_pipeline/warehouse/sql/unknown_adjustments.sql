-- Active symbols with bars whose adjusted prices are not all known: from which day on they are, and why not before.
SELECT
    states.symbol, states.split_adjusted_from, states.fully_adjusted_from, states.unknown_because,
    coalesce(states.split_adjusted_from = DATE '0001-01-01', false) AS splits_known,
    NOT EXISTS (
        SELECT FROM adjustment_factors AS f WHERE f.symbol = states.symbol AND f.dividend_factor IS NULL
    ) AS dividends_known
FROM tracked_symbols AS tracked
JOIN adjustment_states AS states ON states.symbol = tracked.symbol
WHERE tracked.active
    AND coalesce(states.fully_adjusted_from > DATE '0001-01-01', true)
    AND EXISTS (SELECT FROM bars AS b WHERE b.symbol_id = tracked.id)
ORDER BY states.symbol
