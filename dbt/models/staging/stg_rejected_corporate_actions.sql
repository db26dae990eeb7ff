SELECT
    id,
    kind,
    symbol,
    date,
    reasons,
    payload,
    source,
    first_rejected_at,
    last_rejected_at,
    run_id,
    listed
FROM {{ source('warehouse', 'rejected_corporate_actions') }}
