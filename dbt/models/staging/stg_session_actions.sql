SELECT
    symbol,
    session,
    split_factor,
    cash_amount,
    previous_date,
    previous_close,
    dividend_factor,
    unknown_because
FROM {{ source('warehouse', 'session_actions') }}
