SELECT
    symbol_id,
    date,
    load_id,
    transactions,
    open,
    high,
    low,
    close,
    volume,
    vwap
FROM {{ source('warehouse', 'bars') }}
