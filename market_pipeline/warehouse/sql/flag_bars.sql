-- Flags one symbol's bars from :first to :last that are in :found, a JSON list of flagged bars, and unflags the others.
-- Parameters: symbol_id, first, last, found.
WITH found AS (
    SELECT *
    FROM jsonb_to_recordset(CAST(:found AS jsonb)) AS bar (
        session date, flags text[], notes text, quality_score double precision, gap_detected boolean,
        volume_anomaly boolean
    )
),
concerned AS (
    SELECT session FROM found
    UNION
    SELECT date FROM bar_flags WHERE symbol_id = :symbol_id AND date BETWEEN :first AND :last AND flags <> '{}'
)
INSERT INTO bar_flags AS held (
    symbol_id, date, flags, quality_score, validation_notes, gap_detected, volume_anomaly
)
SELECT
    :symbol_id,
    session,
    coalesce(found.flags, '{}'),
    coalesce(found.quality_score, 1),
    found.notes,
    coalesce(found.gap_detected, false),
    coalesce(found.volume_anomaly, false)
FROM concerned
LEFT JOIN found USING (session)
ON CONFLICT (symbol_id, date) DO UPDATE
SET flags = excluded.flags,
    quality_score = excluded.quality_score,
    validation_notes = excluded.validation_notes,
    gap_detected = excluded.gap_detected,
    volume_anomaly = excluded.volume_anomaly
WHERE (held.flags, held.validation_notes) IS DISTINCT FROM (excluded.flags, excluded.validation_notes)
