SELECT
    symbol,
    date,
    time,
    open,
    high,
    low,
    close,
    volume,
    vwap,
    transactions,
    source,
    validated,
    quality_score,
    flags,
    validation_notes,
    gap_detected,
    volume_anomaly,
    fetched_at,
    run_id,
    updated_at
FROM {{ source('warehouse', 'market_data') }}
WHERE symbol IN (SELECT tracked.symbol FROM {{ source('warehouse', 'tracked_symbols') }} AS tracked)
