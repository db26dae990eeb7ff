{{ config(
    materialized="incremental",
    unique_key=["symbol", "date"],
    post_hook="{{ analyze() }}",
) }}

SELECT
    symbol,
    date,
    state,
    reason,
    run_id,
    asked_at
FROM {{ ref("stg_session_states") }}
WHERE state <> 'loaded'
