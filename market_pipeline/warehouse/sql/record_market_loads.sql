-- Writes load records of a market's sessions. The load of those whose bars have changed is the transaction's.
-- Parameter: records, a JSON list of rows of market_loads without load_id and the end.
INSERT INTO market_loads (
    market, date, run_id, trigger, source, origin, version, load_id, requests, waited_seconds, fetched, loaded, revised,
    unchanged, rejected, withdrawn, flagged, tickers, success, suspicious, error_details, notes, started_at,
    duration_seconds
)
SELECT
    market, date, run_id, trigger, source, origin, version,
    CASE WHEN loaded + revised + withdrawn > 0 THEN opened_load() END,
    requests, waited_seconds, fetched, loaded, revised, unchanged, rejected, withdrawn, flagged, tickers, success,
    suspicious, error_details, notes, started_at,
    extract(epoch FROM clock_timestamp() - started_at) / json_array_length(CAST(:records AS json))
FROM json_array_elements(CAST(:records AS json)) WITH ORDINALITY AS listed (value, place)
CROSS JOIN LATERAL json_populate_record(NULL::market_loads, listed.value) AS record
ORDER BY place
