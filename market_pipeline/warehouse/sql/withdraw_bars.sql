-- Takes bars out that the vendor no longer gives. They are kept as earlier versions. Parameters: symbol_ids, dates (arrays of one
-- length).
WITH withdrawn AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:symbol_ids AS integer[]), CAST(:dates AS date[])) AS bar (symbol_id, date)
),
unflagged AS (
    DELETE FROM bar_flags AS f USING withdrawn WHERE f.symbol_id = withdrawn.symbol_id AND f.date = withdrawn.date
)
DELETE FROM bars AS b USING withdrawn WHERE b.symbol_id = withdrawn.symbol_id AND b.date = withdrawn.date
