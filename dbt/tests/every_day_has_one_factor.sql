{{ config(tags=["nightly"], meta={"dagster": {"ref": {"name": "stg_adjustment_factors"}}}) }}

-- Each symbol's stretches begin with the first day there is, touch each other and never end: a bar joins exactly one.
WITH stretches AS (
    SELECT
        symbol,
        from_date,
        to_date,
        lag(to_date, 1, DATE '0001-01-01') OVER (PARTITION BY symbol ORDER BY from_date) AS end_before,
        lead(from_date, 1, DATE '9999-12-31') OVER (PARTITION BY symbol ORDER BY from_date) AS begin_after
    FROM {{ ref("stg_adjustment_factors") }}
)

SELECT symbol, from_date
FROM {{ ref("stg_tracked_symbols") }} AS symbols
LEFT JOIN stretches USING (symbol)
WHERE (
        stretches.from_date IS DISTINCT FROM stretches.end_before
        OR stretches.to_date IS DISTINCT FROM stretches.begin_after
    )
    AND EXISTS (SELECT FROM {{ ref("stg_market_data") }} AS bars WHERE bars.symbol = symbols.symbol)
