-- Gives each tracked symbol without a security one of its own, which is assumed to have always had the symbol's ticker.
WITH added AS MATERIALIZED (
    SELECT
        tracked.id AS symbol_id, nextval(pg_get_serial_sequence('securities', 'id')) AS security_id,
        tracked.vendor_ticker, tracked.name, tracked.vendor_type
    FROM tracked_symbols AS tracked
    WHERE tracked.security_id IS NULL
),
named AS (
    INSERT INTO securities (id, name, type)
    SELECT security_id, name, vendor_type FROM added
),
listed AS (
    INSERT INTO security_tickers (security_id, ticker, source, certain)
    SELECT security_id, vendor_ticker, 'assumed', false FROM added
)
UPDATE tracked_symbols AS tracked
SET security_id = added.security_id
FROM added
WHERE tracked.id = added.symbol_id
