SELECT
    sessions.market,
    sessions.date,
    period.ticker,
    listed.symbol,
    listed.security_id,
    listed.name,
    listed.type,
    listed.primary_exchange,
    listed.first_session,
    listed.last_session,
    bars.price,
    bars.volume,
    bars.price * bars.volume AS dollar_volume,
    bars.median_dollar_volume
FROM {{ ref("int_universe") }} AS bars
JOIN {{ ref("int_listings") }} AS listed ON listed.symbol_id = bars.symbol_id
JOIN {{ ref("int_market_sessions") }} AS sessions ON sessions.market = listed.market AND sessions.date = bars.date
LEFT JOIN {{ ref("stg_security_tickers") }} AS period
    ON period.security_id = listed.security_id
    AND bars.date BETWEEN coalesce(period.first_day, '-infinity') AND coalesce(period.last_day, 'infinity')
