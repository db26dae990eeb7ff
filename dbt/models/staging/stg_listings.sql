SELECT
    market,
    ticker,
    symbol,
    security_id,
    first_session,
    last_session,
    state,
    name,
    type,
    primary_exchange
FROM {{ source('warehouse', 'listings') }}
