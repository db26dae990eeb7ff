SELECT
    file,
    symbol,
    field,
    first_session,
    last_session,
    sessions,
    found_in,
    adjustment,
    tolerance,
    explanation,
    explained,
    detail,
    lowest_ratio,
    highest_ratio,
    made_at
FROM {{ ref("stg_reconciliations") }}
