{{ config(
    materialized="incremental",
    unique_key=["symbol", "date"],
    post_hook="ANALYZE {{ this }}",
) }}

-- On the session itself, or on one without a bar just before it.
WITH actions AS (
    SELECT
        actions.symbol,
        bar.date,
        actions.split_factor,
        -- in shares of the bar, should a split have followed
        actions.cash_amount * coalesce(
            {{ product("actions.split_factor") }} OVER (
                PARTITION BY actions.symbol, bar.date ORDER BY actions.session DESC
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ),
            1
        ) AS cash_amount
    FROM {{ ref("int_corporate_actions") }} AS actions
    JOIN LATERAL (
        SELECT bars.date
        FROM {{ ref("stg_market_data") }} AS bars
        WHERE bars.symbol = actions.symbol AND bars.date >= actions.session
        ORDER BY bars.date
        LIMIT 1
    ) AS bar ON true
)

SELECT
    symbol,
    date,
    {{ product("split_factor ORDER BY split_factor") }} AS split_factor,
    CASE WHEN bool_and(cash_amount IS NOT NULL) THEN sum(cash_amount ORDER BY cash_amount) END AS cash_amount
FROM actions
GROUP BY symbol, date
