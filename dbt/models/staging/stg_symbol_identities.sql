SELECT
    symbol_id,
    symbol,
    asset_class,
    calendar,
    security_id,
    load_id
FROM {{ source('warehouse', 'symbol_identities') }}
