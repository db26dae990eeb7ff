SELECT
    market,
    date,
    state,
    tickers,
    origin,
    version,
    loaded_at,
    reason,
    run_id
FROM {{ source('warehouse', 'market_sessions') }}
