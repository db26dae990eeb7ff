-- The symbol, other than :symbol, whose stored values of :field are these on the most of these dates, at least :least.
-- Parameters: symbol, field, by_splits, by_dividends, dates, file_values, noise, least.
SELECT tracked.symbol
FROM unnest(CAST(:dates AS date[]), CAST(:file_values AS double precision[]), CAST(:noise AS double precision[]))
    AS file (date, value, noise)
JOIN bars ON bars.date = file.date
JOIN tracked_symbols AS tracked ON tracked.id = bars.symbol_id AND tracked.symbol <> :symbol
LEFT JOIN adjustment_factors AS factors
    ON factors.symbol = tracked.symbol AND bars.date >= factors.from_date AND bars.date < factors.to_date
WHERE abs(
    CASE CAST(:field AS text)
        WHEN 'open' THEN bars.open WHEN 'high' THEN bars.high WHEN 'low' THEN bars.low
        WHEN 'volume' THEN bars.volume WHEN 'vwap' THEN bars.vwap ELSE bars.close
    END
    * CASE WHEN :by_splits AND :field = 'volume' THEN 1 / factors.split_factor WHEN :by_splits THEN factors.split_factor ELSE 1 END
    * CASE WHEN :by_dividends AND :field <> 'volume' THEN factors.dividend_factor ELSE 1 END
    / file.value - 1
) <= file.noise
GROUP BY tracked.symbol
HAVING count(*) >= :least
ORDER BY count(*) DESC, tracked.symbol
LIMIT 1
