-- Those of some symbols whose bars, each since a date, can change their adjustment factors: there are none yet, a later action may
-- rest on one of the bars, or an action has come into effect. A night's bar of most symbols can't. Parameters: symbols, since
-- (arrays of one length).
SELECT loaded.symbol
FROM unnest(CAST(:symbols AS text[]), CAST(:since AS date[])) AS loaded (symbol, since)
WHERE NOT EXISTS (SELECT FROM adjustment_factors AS f WHERE f.symbol = loaded.symbol)
    OR EXISTS (
        SELECT FROM adjustment_factors AS f
        WHERE f.symbol = loaded.symbol AND f.to_date > loaded.since AND f.to_date < DATE '9999-12-31'
    )
    OR EXISTS (
        SELECT FROM splits AS s
        WHERE s.symbol = loaded.symbol AND s.execution_date > loaded.since - 14 AND s.execution_date <= new_york_today()
    )
    OR EXISTS (
        SELECT FROM dividends AS d
        WHERE d.symbol = loaded.symbol AND d.ex_dividend_date > loaded.since - 14 AND d.ex_dividend_date <= new_york_today()
    )
    OR EXISTS (
        SELECT FROM rejected_corporate_actions AS r
        WHERE r.symbol = loaded.symbol AND r.listed AND r.date > loaded.since - 14 AND r.date <= new_york_today()
    )
