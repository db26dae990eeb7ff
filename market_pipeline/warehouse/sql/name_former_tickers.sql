-- Gives the rows of a file, in the temporary table staged_prices, the symbols that are tracked for the tickers that their
-- securities had on those days. Rows under a tracked name stay as they are, and win.
WITH renamed AS (
    DELETE FROM staged_prices AS file
    USING security_tickers AS period, tracked_symbols AS tracked
    WHERE period.ticker = file.symbol
        AND tracked.security_id = period.security_id
        AND file.date BETWEEN coalesce(period.first_day, '-infinity') AND coalesce(period.last_day, 'infinity')
        AND NOT EXISTS (SELECT FROM tracked_symbols AS other WHERE other.symbol = file.symbol)
    RETURNING
        tracked.symbol, file.date, file.open, file.high, file.low, file.close, file.adj_close, file.volume, file.vwap
)
INSERT INTO staged_prices (symbol, date, open, high, low, close, adj_close, volume, vwap)
SELECT symbol, date, open, high, low, close, adj_close, volume, vwap
FROM renamed
ON CONFLICT DO NOTHING
