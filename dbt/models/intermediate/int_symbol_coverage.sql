{{ config(
    materialized="incremental",
    unique_key=["symbol"],
    post_hook="{{ analyze() }}",
) }}

-- The view `coverage` takes seconds to evaluate, so each build keeps what it says.
SELECT
    symbol,
    first_session,
    sessions AS expected,
    loaded,
    missing,
    rejected,
    empty,
    not_yet_available,
    not_in_plan,
    failed,
    never_asked,
    flagged,
    last_error,
    last_session,
    behind,
    fetchable,
    health,
    health_reason
FROM {{ ref("stg_coverage") }}
