SELECT
    id,
    symbol,
    asset_class,
    vendor_ticker,
    calendar,
    active,
    date_added,
    last_backfill,
    backfill_status,
    name,
    vendor_type,
    primary_exchange,
    listed,
    delisted_on,
    renamed_to,
    checked_at
FROM {{ source('warehouse', 'tracked_symbols') }}
