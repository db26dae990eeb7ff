-- The flagged bars of some symbols from the first to the last date: symbol_ids and dates, arrays of one length.
-- Parameters: symbol_ids, first, last.
SELECT array_agg(f.symbol_id) AS symbol_ids, array_agg(f.date - DATE '1970-01-01') AS days
FROM unnest(CAST(:symbol_ids AS integer[])) AS concerned (symbol_id)
JOIN bar_flags AS f ON f.symbol_id = concerned.symbol_id AND f.date BETWEEN :first AND :last
WHERE f.flags <> '{}'
