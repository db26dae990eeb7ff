-- A file's rows, of the temporary table staged_prices, beside the stored bars as traded and the logarithms of their
-- factors, NULL where not known. Parameters: symbols, first, last.
SELECT
    coalesce(file.symbol, bar.symbol) AS symbol,
    coalesce(file.date, bar.date) AS date,
    file.symbol IS NOT NULL AS in_file,
    bar.symbol IS NOT NULL AS in_warehouse,
    coalesce('unlisted_split' = ANY(bar.flags), false) AS suspected,
    file.open AS file_open, file.high AS file_high, file.low AS file_low, file.close AS file_close,
    file.adj_close AS file_adj_close, file.volume AS file_volume, file.vwap AS file_vwap,
    bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap,
    ln(bar.split_factor) AS split, ln(bar.dividend_factor) AS dividend, bar.unknown_because
FROM (
    SELECT * FROM staged_prices WHERE symbol = ANY(:symbols) AND date BETWEEN :first AND :last
) AS file
FULL JOIN (
    SELECT
        bars.symbol, bars.date, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.vwap, bars.flags,
        factors.split_factor, factors.dividend_factor, factors.unknown_because
    FROM market_data AS bars
    LEFT JOIN adjustment_factors AS factors
        ON factors.symbol = bars.symbol AND bars.date >= factors.from_date AND bars.date < factors.to_date
    WHERE bars.symbol = ANY(:symbols) AND bars.date BETWEEN :first AND :last
) AS bar ON bar.symbol = file.symbol AND bar.date = file.date
ORDER BY symbol, date
