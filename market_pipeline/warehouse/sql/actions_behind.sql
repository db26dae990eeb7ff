-- Tracked equities with bars whose splits or dividends were never requested successfully, or last before :before.
SELECT
    kinds.kind, tracked.symbol, requests.asked_at IS NULL AS never,
    coalesce(requests.asked_at, first_load.at, tracked.date_added) AS since
FROM (VALUES ('splits'), ('dividends')) AS kinds (kind)
CROSS JOIN tracked_symbols AS tracked
LEFT JOIN corporate_action_inquiries AS requests ON requests.kind = kinds.kind AND requests.symbol = tracked.symbol
LEFT JOIN LATERAL (
    SELECT h.backfill_timestamp AS at
    FROM backfill_history AS h
    WHERE h.symbol = tracked.symbol AND h.loaded > 0
    ORDER BY h.backfill_timestamp
    LIMIT 1
) AS first_load ON true
WHERE
    tracked.active
    AND tracked.asset_class <> 'crypto'
    AND (requests.asked_at IS NULL OR requests.asked_at < :before)
    AND EXISTS (SELECT 1 FROM bars AS b WHERE b.symbol_id = tracked.id)
ORDER BY kinds.kind DESC, tracked.symbol ASC
