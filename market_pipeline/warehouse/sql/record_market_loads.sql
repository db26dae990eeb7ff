-- Writes load records of a market's sessions. The load of those whose bars have changed is the transaction's, and so is that
-- of the first success of a session, even if its bars were all there: its point says from which instant on there is a universe.
-- Parameter: records, a JSON list of rows of market_loads without load_id and the end.
INSERT INTO market_loads (
    market, date, run_id, trigger, source, origin, version, load_id, requests, waited_seconds, fetched, loaded, revised,
    unchanged, rejected, withdrawn, flagged, tickers, success, suspicious, error_details, notes, started_at,
    duration_seconds
)
SELECT
    market, date, run_id, trigger, source, origin, version,
    CASE
        WHEN loaded + revised + withdrawn > 0 THEN opened_load()
        WHEN success AND NOT EXISTS (
            SELECT FROM market_loads AS earlier
            WHERE earlier.market = record.market AND earlier.date = record.date AND earlier.success
        ) THEN coalesce(opened_load(), open_load(run_id, source))
    END,
    requests, waited_seconds, fetched, loaded, revised, unchanged, rejected, withdrawn, flagged, tickers, success,
    suspicious, error_details, notes, started_at,
    extract(epoch FROM clock_timestamp() - started_at) / json_array_length(CAST(:records AS json))
FROM json_array_elements(CAST(:records AS json)) WITH ORDINALITY AS listed (value, place)
CROSS JOIN LATERAL json_populate_record(NULL::market_loads, listed.value) AS record
ORDER BY place
