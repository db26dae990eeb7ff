-- Dividends as the vendor lists them, under the tickers of their days. The two generations of its API have other names of kinds.
-- A factor is that of the days before the ex-date, all later dividends included; NULL if it isn't known.
SELECT
    coalesce(period.ticker, tracked.vendor_ticker, listed.symbol) AS ticker,
    listed.ex_dividend_date,
    listed.cash_amount,
    listed.currency,
    listed.declaration_date,
    listed.record_date,
    listed.pay_date,
    listed.frequency,
    listed.vendor_id AS id,
    CASE listed.dividend_type WHEN 'recurring' THEN 'CD' WHEN 'special' THEN 'SC' ELSE listed.dividend_type END
        AS dividend_type,
    CASE listed.dividend_type WHEN 'CD' THEN 'recurring' WHEN 'SC' THEN 'special' ELSE listed.dividend_type END
        AS distribution_type,
    CASE
        WHEN EXISTS (SELECT FROM bars AS b WHERE b.symbol_id = named.symbol_id AND b.date < listed.ex_dividend_date)
            THEN round(before.dividend_factor::numeric, 6)::double precision
    END AS historical_adjustment_factor,
    round((listed.cash_amount * since.split_factor)::numeric, 6)::double precision AS split_adjusted_cash_amount
FROM dividends AS listed
LEFT JOIN tracked_symbols AS tracked ON tracked.symbol = listed.symbol
LEFT JOIN symbol_identities AS named ON named.symbol = listed.symbol
LEFT JOIN security_tickers AS period
    ON period.security_id = named.security_id
    AND listed.ex_dividend_date BETWEEN coalesce(period.first_day, '-infinity') AND coalesce(period.last_day, 'infinity')
LEFT JOIN adjustment_factors AS before
    ON before.symbol = listed.symbol
    AND listed.ex_dividend_date > before.from_date AND listed.ex_dividend_date <= before.to_date
LEFT JOIN adjustment_factors AS since
    ON since.symbol = listed.symbol
    AND listed.ex_dividend_date >= since.from_date AND listed.ex_dividend_date < since.to_date
