{{ config(
    materialized="incremental",
    unique_key=["symbol", "date"],
    post_hook="{{ analyze() }}",
) }}

-- On the session itself, or on one without a bar just before it.
WITH actions AS (
    SELECT
        actions.symbol,
        bar.date,
        actions.split_factor,
        actions.cash_amount,
        -- a dividend is in shares of the bar, should a split have followed
        coalesce(public.product(actions.split_factor) OVER later, 1) AS later_splits,
        coalesce(bool_and(actions.split_factor IS NOT NULL) OVER later, true) AS later_splits_known
    FROM {{ ref("int_corporate_actions") }} AS actions
    -- Nearly always the session's own, which is looked up; the next is found among all later ones.
    JOIN LATERAL (
        SELECT
            CASE
                WHEN EXISTS (
                    SELECT FROM {{ ref("stg_market_data") }} AS bars
                    WHERE bars.symbol = actions.symbol AND bars.date = actions.session
                ) THEN actions.session
                ELSE (
                    SELECT min(bars.date)
                    FROM {{ ref("stg_market_data") }} AS bars
                    WHERE bars.symbol = actions.symbol AND bars.date > actions.session
                )
            END AS date
    ) AS bar ON bar.date IS NOT NULL
    WINDOW later AS (
        PARTITION BY actions.symbol, bar.date ORDER BY actions.session DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
),

in_its_shares AS (
    SELECT
        symbol,
        date,
        split_factor,
        CASE WHEN later_splits_known OR cash_amount = 0 THEN cash_amount * later_splits END AS cash_amount
    FROM actions
)

SELECT
    symbol,
    date,
    CASE WHEN bool_and(split_factor IS NOT NULL) THEN public.product(split_factor ORDER BY split_factor) END
        AS split_factor,
    CASE WHEN bool_and(cash_amount IS NOT NULL) THEN sum(cash_amount ORDER BY cash_amount) END AS cash_amount
FROM in_its_shares
GROUP BY symbol, date
