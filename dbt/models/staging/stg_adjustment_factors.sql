SELECT
    symbol,
    from_date,
    to_date,
    split_factor,
    dividend_factor,
    unknown_because,
    load_id
FROM {{ source('warehouse', 'adjustment_factors') }}
