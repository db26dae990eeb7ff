SELECT
    symbols.symbol,
    symbols.asset_class,
    symbols.name,
    bar.date,
    bar.open,
    bar.high,
    bar.low,
    bar.close,
    bar.volume,
    bar.vwap,
    bar.transactions,
    returns.previous_close,
    returns.simple_return,
    returns.total_return,
    bar.validated,
    bar.flags,
    bar.fetched_at
FROM {{ ref("stg_tracked_symbols") }} AS symbols
JOIN LATERAL (
    SELECT *
    FROM {{ ref("stg_market_data") }} AS bars
    WHERE bars.symbol = symbols.symbol
    ORDER BY bars.date DESC
    LIMIT 1
) AS bar ON true
LEFT JOIN {{ ref("daily_returns") }} AS returns ON returns.symbol = symbols.symbol AND returns.date = bar.date
WHERE symbols.active
