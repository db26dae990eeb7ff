-- Symbols whose adjustment_factors lack an action that has come into effect, or that splits or dividends were requested.
-- Parameter: symbols, those to look at; NULL for all.
SELECT tracked.symbol
FROM tracked_symbols AS tracked
JOIN adjustment_states AS states ON states.symbol = tracked.symbol
WHERE (CAST(:symbols AS text[]) IS NULL OR tracked.symbol = ANY(CAST(:symbols AS text[])))
    AND (
        NOT EXISTS (
            SELECT FROM adjustment_factors AS f
            WHERE f.symbol = tracked.symbol
                AND f.to_date = DATE '9999-12-31'
                AND (f.split_factor IS NOT NULL) = states.splits_known
                AND (f.dividend_factor IS NOT NULL) = states.dividends_known
        )
        OR EXISTS (
            SELECT FROM (
                SELECT s.execution_date AS ex_date FROM splits AS s WHERE s.symbol = tracked.symbol
                UNION ALL
                SELECT d.ex_dividend_date FROM dividends AS d WHERE d.symbol = tracked.symbol
                UNION ALL
                SELECT r.date FROM rejected_corporate_actions AS r WHERE r.symbol = tracked.symbol AND r.listed
            ) AS actions
            CROSS JOIN LATERAL (
                SELECT coalesce(
                    (
                        SELECT min(s.date)
                        FROM sessions AS s
                        WHERE s.calendar = tracked.calendar AND s.date BETWEEN actions.ex_date AND actions.ex_date + 14
                    ),
                    actions.ex_date
                ) AS session
            ) AS placed
            WHERE actions.ex_date <= new_york_today()
                AND placed.session > (SELECT min(b.date) FROM bars AS b WHERE b.symbol_id = tracked.id)
                AND NOT EXISTS (
                    SELECT FROM adjustment_factors AS f WHERE f.symbol = tracked.symbol AND f.to_date = placed.session
                )
        )
    )
