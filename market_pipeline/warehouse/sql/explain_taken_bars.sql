-- Notes why a symbol's bars of some sessions were taken out by this transaction. Parameters: symbol_id, dates, reason.
UPDATE bars_revisions
SET reason = :reason
WHERE symbol_id = :symbol_id AND date = ANY(CAST(:dates AS date[])) AND replaced_by = current_load()
