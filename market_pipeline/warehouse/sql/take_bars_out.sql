-- Takes bars out, and their flags. They are kept as earlier versions. Parameters: symbol_ids, dates (arrays of one length).
WITH taken AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:symbol_ids AS integer[]), CAST(:dates AS date[])) AS bar (symbol_id, date)
),
unflagged AS (
    DELETE FROM bar_flags AS f USING taken WHERE f.symbol_id = taken.symbol_id AND f.date = taken.date
)
DELETE FROM bars AS b USING taken WHERE b.symbol_id = taken.symbol_id AND b.date = taken.date
