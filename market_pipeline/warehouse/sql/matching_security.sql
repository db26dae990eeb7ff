-- The symbol, other than :symbol, whose stored values of :field are these on the most of these dates, at least :least.
-- The time, which is indexed, finds a date's bars. Parameters: symbol, field, by_splits, by_dividends, dates, file_values, noise, least.
SELECT bars.symbol
FROM unnest(CAST(:dates AS date[]), CAST(:file_values AS double precision[]), CAST(:noise AS double precision[]))
    AS file (date, value, noise)
JOIN market_data AS bars
    ON bars.time >= file.date - 1 AND bars.time < file.date + 2 AND bars.date = file.date AND bars.symbol <> :symbol
LEFT JOIN adjustment_factors AS factors
    ON factors.symbol = bars.symbol AND bars.date >= factors.from_date AND bars.date < factors.to_date
WHERE abs(
    CASE CAST(:field AS text)
        WHEN 'open' THEN bars.open WHEN 'high' THEN bars.high WHEN 'low' THEN bars.low
        WHEN 'volume' THEN bars.volume WHEN 'vwap' THEN bars.vwap ELSE bars.close
    END
    * CASE WHEN :by_splits AND :field = 'volume' THEN 1 / factors.split_factor WHEN :by_splits THEN factors.split_factor ELSE 1 END
    * CASE WHEN :by_dividends AND :field <> 'volume' THEN factors.dividend_factor ELSE 1 END
    / file.value - 1
) <= file.noise
GROUP BY bars.symbol
HAVING count(*) >= :least
ORDER BY count(*) DESC, bars.symbol
LIMIT 1
