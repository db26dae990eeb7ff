SELECT
    symbol,
    splits_asked_at,
    dividends_asked_at,
    splits_known,
    dividends_known,
    all_unknown_because,
    split_adjusted_from,
    fully_adjusted_from,
    unknown_because
FROM {{ source('warehouse', 'adjustment_states') }}
