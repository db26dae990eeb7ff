{{ config(
    materialized="incremental",
    unique_key=["market", "date"],
    post_hook="{{ analyze() }}",
) }}

SELECT
    market,
    date
FROM {{ ref("stg_market_sessions") }}
WHERE loaded_at IS NOT NULL
