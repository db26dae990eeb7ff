SELECT
    id,
    security_id,
    ticker,
    first_day,
    last_day,
    source,
    certain,
    note,
    known_since,
    load_id
FROM {{ source('warehouse', 'security_tickers') }}
