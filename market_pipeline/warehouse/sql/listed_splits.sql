-- Splits as the vendor lists them, under the tickers of their days. A factor is the product of those of the split and all later
-- ones, announced ones included.
SELECT
    coalesce(period.ticker, tracked.vendor_ticker, listed.symbol) AS ticker,
    listed.execution_date,
    listed.split_from,
    listed.split_to,
    listed.vendor_id AS id,
    listed.split_to < listed.split_from AS reverse_split,
    CASE WHEN listed.split_to > listed.split_from THEN 'forward_split' ELSE 'reverse_split' END AS adjustment_type,
    round(
        CAST(
            product(listed.split_from / listed.split_to) OVER (PARTITION BY listed.symbol ORDER BY listed.execution_date DESC)
            AS numeric
        ),
        6
    )::double precision AS historical_adjustment_factor
FROM splits AS listed
LEFT JOIN tracked_symbols AS tracked ON tracked.symbol = listed.symbol
LEFT JOIN symbol_identities AS named ON named.symbol = listed.symbol
LEFT JOIN security_tickers AS period
    ON period.security_id = named.security_id
    AND listed.execution_date BETWEEN coalesce(period.first_day, '-infinity') AND coalesce(period.last_day, 'infinity')
