{{ config(
    materialized="incremental",
    unique_key=["symbol"],
    post_hook="ANALYZE {{ this }}",
) }}

WITH bars AS (
    SELECT symbol, min(date) AS first_session, count(*) AS loaded
    FROM {{ ref("stg_market_data") }}
    GROUP BY symbol
),

odd_bars AS (
    SELECT symbol, count(*) AS flagged
    FROM {{ ref("stg_market_data") }}
    WHERE NOT validated
    GROUP BY symbol
),

without_bar AS (
    SELECT
        symbol,
        min(date) AS first_session,
        count(*) FILTER (WHERE state = 'rejected') AS rejected,
        count(*) FILTER (WHERE state = 'empty') AS empty,
        count(*) FILTER (WHERE state = 'not_yet_available') AS not_yet_available,
        count(*) FILTER (WHERE state = 'not_in_plan') AS not_in_plan,
        count(*) FILTER (WHERE state = 'failed') AS failed,
        count(*) FILTER (WHERE state = 'never_asked') AS never_asked,
        count(*) AS missing
    FROM {{ ref("int_missing_sessions") }}
    GROUP BY symbol
)

SELECT
    symbols.symbol,
    least(bars.first_session, without_bar.first_session) AS first_session,
    coalesce(bars.loaded, 0) + coalesce(without_bar.missing, 0) AS expected,
    coalesce(bars.loaded, 0) AS loaded,
    coalesce(without_bar.missing, 0) AS missing,
    coalesce(without_bar.rejected, 0) AS rejected,
    coalesce(without_bar.empty, 0) AS empty,
    coalesce(without_bar.not_yet_available, 0) AS not_yet_available,
    coalesce(without_bar.not_in_plan, 0) AS not_in_plan,
    coalesce(without_bar.failed, 0) AS failed,
    coalesce(without_bar.never_asked, 0) AS never_asked,
    coalesce(odd_bars.flagged, 0) AS flagged,
    newest.error_details AS last_error
FROM {{ ref("stg_tracked_symbols") }} AS symbols
LEFT JOIN bars ON bars.symbol = symbols.symbol
LEFT JOIN odd_bars ON odd_bars.symbol = symbols.symbol
LEFT JOIN without_bar ON without_bar.symbol = symbols.symbol
LEFT JOIN LATERAL (
    SELECT loads.error_details
    FROM {{ ref("stg_backfill_history") }} AS loads
    WHERE loads.symbol = symbols.symbol
    ORDER BY loads.backfill_timestamp DESC
    LIMIT 1
) AS newest ON true
WHERE symbols.active
