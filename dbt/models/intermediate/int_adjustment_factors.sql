{{ config(
    materialized="incremental",
    unique_key=["symbol", "from_date"],
    post_hook="ANALYZE {{ this }}",
) }}

-- Every action ends a stretch of days, and the last stretch never ends. A factor is unknown, not 1, if the actions were
-- never requested.
WITH stretches AS (
    SELECT symbol, session AS to_date, split_factor, dividend_factor
    FROM {{ ref("int_corporate_actions") }}
    UNION ALL
    SELECT symbol, DATE '9999-12-31', CASE WHEN splits_known THEN 1 END, CASE WHEN dividends_known THEN 1 END
    FROM {{ ref("int_symbols") }}
)

SELECT
    symbol,
    lag(to_date, 1, DATE '0001-01-01') OVER (PARTITION BY symbol ORDER BY to_date) AS from_date,
    to_date,
    CASE WHEN bool_and(split_factor IS NOT NULL) OVER later THEN {{ product("split_factor") }} OVER later END
        AS split_factor,
    CASE WHEN bool_and(dividend_factor IS NOT NULL) OVER later THEN {{ product("dividend_factor") }} OVER later END
        AS dividend_factor
FROM stretches
WINDOW later AS (PARTITION BY symbol ORDER BY to_date DESC)
