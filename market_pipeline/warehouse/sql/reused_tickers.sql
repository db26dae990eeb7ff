-- The symbols that aren't tracked, and have bars both before and over a week after the vendor's list says that their ticker was
-- delisted: the earliest such day of each. They are two securities, unless a later entry of the list has the same FIGI or name.
-- Parameter: market.
SELECT period.ticker, named.symbol_id, period.id AS period_id, period.last_day, min(gone.delisted_on) AS delisted_on
FROM reference_tickers AS gone
JOIN security_tickers AS period
    ON period.ticker = gone.ticker
    AND coalesce(period.first_day, '-infinity') <= gone.delisted_on
    AND coalesce(period.last_day, 'infinity') > gone.delisted_on
JOIN symbol_identities AS named ON named.security_id = period.security_id
JOIN market_listings AS listed
    ON listed.symbol_id = named.symbol_id AND listed.market = gone.market
    AND listed.first_session <= gone.delisted_on AND listed.last_session > gone.delisted_on + 7
WHERE gone.market = :market
    AND NOT EXISTS (SELECT FROM tracked_symbols AS t WHERE t.id = named.symbol_id)
    AND NOT EXISTS (
        SELECT FROM reference_tickers AS later
        WHERE later.market = gone.market AND later.ticker = gone.ticker
            AND coalesce(later.delisted_on, 'infinity') > gone.delisted_on
            AND (later.composite_figi = gone.composite_figi OR lower(later.name) = lower(gone.name))
    )
GROUP BY period.ticker, named.symbol_id, period.id, period.last_day
