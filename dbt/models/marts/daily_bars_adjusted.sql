SELECT
    bars.symbol,
    bars.date,
    bars.open * factors.split_factor AS open,
    bars.high * factors.split_factor AS high,
    bars.low * factors.split_factor AS low,
    bars.close * factors.split_factor AS close,
    bars.volume / factors.split_factor AS volume,
    bars.vwap * factors.split_factor AS vwap,
    bars.transactions,
    bars.open * factors.split_factor * factors.dividend_factor AS adj_open,
    bars.high * factors.split_factor * factors.dividend_factor AS adj_high,
    bars.low * factors.split_factor * factors.dividend_factor AS adj_low,
    bars.close * factors.split_factor * factors.dividend_factor AS adj_close,
    factors.split_factor,
    factors.dividend_factor,
    bars.validated,
    bars.flags,
    bars.quality_score,
    bars.validation_notes,
    bars.gap_detected,
    bars.volume_anomaly,
    bars.time,
    bars.source,
    bars.fetched_at,
    bars.run_id
FROM {{ ref("stg_market_data") }} AS bars
JOIN {{ ref("int_adjustment_factors") }} AS factors
    ON factors.symbol = bars.symbol AND bars.date >= factors.from_date AND bars.date < factors.to_date
