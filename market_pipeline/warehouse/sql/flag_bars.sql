-- Flags the bars in :found, a JSON list of flagged bars, and unflags the others of these symbols, each from the first to the last
-- date. Parameters: symbol_ids, firsts, lasts (arrays of one length), found.
WITH found AS (
    SELECT *
    FROM jsonb_to_recordset(CAST(:found AS jsonb)) AS bar (
        symbol_id integer, session date, flags text[], notes text, quality_score double precision, gap_detected boolean,
        volume_anomaly boolean
    )
),
concerned AS (
    SELECT symbol_id, session FROM found
    UNION
    SELECT flagged.symbol_id, flagged.date
    FROM unnest(CAST(:symbol_ids AS integer[]), CAST(:firsts AS date[]), CAST(:lasts AS date[]))
        AS changed (symbol_id, first, last)
    JOIN bar_flags AS flagged
        ON flagged.symbol_id = changed.symbol_id AND flagged.date BETWEEN changed.first AND changed.last
    WHERE flagged.flags <> '{}'
)
INSERT INTO bar_flags AS held (
    symbol_id, date, flags, quality_score, validation_notes, gap_detected, volume_anomaly
)
SELECT
    symbol_id,
    session,
    coalesce(found.flags, '{}'),
    coalesce(found.quality_score, 1),
    found.notes,
    coalesce(found.gap_detected, false),
    coalesce(found.volume_anomaly, false)
FROM concerned
LEFT JOIN found USING (symbol_id, session)
ON CONFLICT (symbol_id, date) DO UPDATE
SET flags = excluded.flags,
    quality_score = excluded.quality_score,
    validation_notes = excluded.validation_notes,
    gap_detected = excluded.gap_detected,
    volume_anomaly = excluded.volume_anomaly
WHERE (held.flags, held.validation_notes) IS DISTINCT FROM (excluded.flags, excluded.validation_notes)
