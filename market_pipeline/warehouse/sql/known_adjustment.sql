-- The day from which on a symbol's adjusted prices are known, and why not before, for its bars from :start to :end. NULL, NULL
-- if it has none. Parameters: symbol, start, end, with_dividends.
SELECT
    min(from_date) FILTER (WHERE is_known) AS known_from,
    coalesce(
        (array_agg(unknown_because ORDER BY from_date DESC) FILTER (WHERE NOT is_known))[1],
        (
            SELECT 'splits and dividends are requested for tracked symbols alone' FROM symbol_identities AS named
            WHERE named.symbol = :symbol AND NOT EXISTS (SELECT FROM tracked_symbols AS t WHERE t.id = named.symbol_id)
        )
    ) AS unknown_because
FROM (
    SELECT
        f.from_date, f.to_date, f.unknown_because,
        f.split_factor IS NOT NULL
        AND (f.dividend_factor IS NOT NULL OR NOT CAST(:with_dividends AS boolean)) AS is_known
    FROM adjustment_factors AS f
    WHERE f.symbol = :symbol AND f.from_date <= CAST(:end AS date) AND f.to_date > CAST(:start AS date)
) AS stretches
WHERE is_known
    OR EXISTS (
        SELECT FROM bars AS b
        WHERE b.symbol_id = (SELECT id FROM tracked_symbols WHERE symbol = :symbol)
            AND b.date BETWEEN greatest(stretches.from_date, CAST(:start AS date))
                AND least(stretches.to_date - 1, CAST(:end AS date))
    )
