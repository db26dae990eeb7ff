-- Notes why bars were taken out by this transaction. Parameters: symbol_ids, dates (arrays of one length), reason.
UPDATE bars_revisions AS r
SET reason = :reason
FROM unnest(CAST(:symbol_ids AS integer[]), CAST(:dates AS date[])) AS bar (symbol_id, date)
WHERE r.symbol_id = bar.symbol_id AND r.date = bar.date AND r.replaced_by = current_load()
