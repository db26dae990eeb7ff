SELECT
    symbol,
    calendar,
    date,
    state,
    reason,
    run_id,
    asked_at
FROM {{ source('warehouse', 'session_states') }}
