-- Flags one symbol's bars from :first to :last that are in :found, a JSON list of flagged bars, and unflags the others.
-- Parameters: symbol, first, last, found, at.
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
    SELECT date FROM market_data WHERE symbol = :symbol AND date BETWEEN :first AND :last AND NOT validated
)
UPDATE market_data AS held
SET flags = coalesce(found.flags, '{}'),
    validated = found.flags IS NULL,
    quality_score = coalesce(found.quality_score, 1),
    validation_notes = found.notes,
    gap_detected = coalesce(found.gap_detected, false),
    volume_anomaly = coalesce(found.volume_anomaly, false),
    updated_at = :at
FROM concerned
LEFT JOIN found USING (session)
WHERE held.symbol = :symbol
  AND held.date = concerned.session
  AND (held.flags, held.validation_notes) IS DISTINCT FROM (coalesce(found.flags, '{}'), found.notes)
