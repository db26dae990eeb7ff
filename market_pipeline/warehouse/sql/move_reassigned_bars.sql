-- Takes a symbol's bars of some sessions out, as they are another security's. They are kept as earlier versions.
-- Parameters: symbol_id, dates.
WITH taken AS (
    DELETE FROM bars WHERE symbol_id = :symbol_id AND date = ANY(CAST(:dates AS date[]))
)
DELETE FROM bar_flags WHERE symbol_id = :symbol_id AND date = ANY(CAST(:dates AS date[]))
