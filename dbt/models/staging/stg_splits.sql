SELECT
    symbol,
    execution_date,
    split_from,
    split_to,
    vendor_id,
    source,
    fetched_at,
    run_id,
    load_id
FROM {{ source('warehouse', 'splits') }}
