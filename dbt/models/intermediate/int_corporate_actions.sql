{{ config(
    materialized="incremental",
    unique_key=["symbol", "session"],
    post_hook="{{ analyze() }}",
) }}

-- The view `session_actions` looks up a close for each action, so each build keeps what it says.
SELECT
    symbol,
    session,
    split_factor,
    cash_amount,
    previous_date,
    previous_close,
    dividend_factor,
    unknown_because
FROM {{ ref("stg_session_actions") }}
