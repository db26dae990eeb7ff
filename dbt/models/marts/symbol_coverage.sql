SELECT
    symbols.symbol,
    symbols.asset_class,
    symbols.calendar,
    symbols.name,
    symbols.listed,
    symbols.delisted_on,
    coverage.first_session,
    newest.date AS last_session,
    coverage.expected,
    coverage.loaded,
    coverage.missing,
    coverage.rejected,
    coverage.empty,
    coverage.not_yet_available,
    coverage.not_in_plan,
    coverage.failed,
    coverage.never_asked,
    coverage.flagged,
    CASE
        WHEN newest.date IS NOT NULL THEN (
            SELECT count(*)
            FROM {{ ref("int_sessions") }} AS sessions
            WHERE sessions.calendar = symbols.calendar
                AND sessions.date > newest.date
                AND sessions.date < (now() AT TIME ZONE 'UTC')::date
                AND sessions.date <= coalesce(symbols.delisted_on, sessions.date)
        )
    END AS behind,
    symbols.last_loaded_at,
    symbols.splits_asked_at,
    symbols.dividends_asked_at,
    coverage.last_error
FROM {{ ref("int_symbols") }} AS symbols
JOIN {{ ref("int_symbol_coverage") }} AS coverage ON coverage.symbol = symbols.symbol
LEFT JOIN LATERAL (
    SELECT bars.date
    FROM {{ ref("stg_market_data") }} AS bars
    WHERE bars.symbol = symbols.symbol
    ORDER BY bars.date DESC
    LIMIT 1
) AS newest ON true
