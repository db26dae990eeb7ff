-- Makes bars of one symbol another's, as they turn out to be, but for sessions of which it has one. The first symbol's are kept as
-- earlier versions. Parameters: from_id, to_id, dates.
WITH moved AS (
    DELETE FROM bars WHERE symbol_id = :from_id AND date = ANY(CAST(:dates AS date[])) RETURNING *
),
unflagged AS (
    DELETE FROM bar_flags WHERE symbol_id = :from_id AND date = ANY(CAST(:dates AS date[]))
)
INSERT INTO bars (symbol_id, date, transactions, open, high, low, close, volume, vwap)
SELECT :to_id, date, transactions, open, high, low, close, volume, vwap FROM moved
ON CONFLICT (symbol_id, date) DO NOTHING
