SELECT
    id,
    symbol,
    ex_dividend_date,
    cash_amount,
    currency,
    dividend_type,
    frequency,
    declaration_date,
    record_date,
    pay_date,
    vendor_id,
    source,
    fetched_at,
    run_id,
    load_id
FROM {{ source('warehouse', 'dividends') }}
