-- Replaces stored bars by the staged ones, all of which differ. The replaced ones are kept as earlier versions.
UPDATE bars AS held
SET open = staged.open, high = staged.high, low = staged.low, close = staged.close, volume = staged.volume,
    vwap = NULLIF(staged.vwap, 'NaN'), transactions = NULLIF(staged.transactions, 'NaN')::integer
FROM staged_bars AS staged
WHERE held.symbol_id = staged.symbol_id AND held.date = staged.date
