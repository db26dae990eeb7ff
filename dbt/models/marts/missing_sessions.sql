SELECT
    missing.symbol,
    missing.date,
    symbols.asset_class,
    symbols.name,
    missing.state,
    missing.reason,
    missing.asked_at,
    missing.run_id
FROM {{ ref("int_missing_sessions") }} AS missing
JOIN {{ ref("stg_tracked_symbols") }} AS symbols ON symbols.symbol = missing.symbol
