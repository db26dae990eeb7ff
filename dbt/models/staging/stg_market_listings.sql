SELECT
    symbol_id,
    market,
    first_session,
    last_session
FROM {{ source('warehouse', 'market_listings') }}
