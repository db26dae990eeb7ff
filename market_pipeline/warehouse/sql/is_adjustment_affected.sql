-- True if bars of a symbol from :since on can change its adjustment factors: it has none yet, a later action may rest on one of
-- the bars, or an action has come into effect. A night's bar of most symbols can't. Parameters: symbol, since.
SELECT
    NOT EXISTS (SELECT FROM adjustment_factors AS f WHERE f.symbol = :symbol)
    OR EXISTS (
        SELECT FROM adjustment_factors AS f
        WHERE f.symbol = :symbol AND f.to_date > CAST(:since AS date) AND f.to_date < DATE '9999-12-31'
    )
    OR EXISTS (
        SELECT FROM splits AS s
        WHERE s.symbol = :symbol AND s.execution_date > CAST(:since AS date) - 14 AND s.execution_date <= new_york_today()
    )
    OR EXISTS (
        SELECT FROM dividends AS d
        WHERE d.symbol = :symbol
            AND d.ex_dividend_date > CAST(:since AS date) - 14
            AND d.ex_dividend_date <= new_york_today()
    )
    OR EXISTS (
        SELECT FROM rejected_corporate_actions AS r
        WHERE r.symbol = :symbol
            AND r.listed
            AND r.date > CAST(:since AS date) - 14
            AND r.date <= new_york_today()
    )
