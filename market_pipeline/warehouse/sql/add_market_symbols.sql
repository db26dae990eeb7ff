-- Gives tickers, each in a period that no security has, new securities and symbols that aren't tracked. Each is called by its ticker
-- until name_market_symbols has found its name. Parameters: calendar, asset_class, tickers, first_days, last_days (arrays of one
-- length). Returns symbol_id, security_id, ticker, first_day.
WITH added AS MATERIALIZED (
    SELECT
        nextval(pg_get_serial_sequence('tracked_symbols', 'id')) AS symbol_id,
        nextval(pg_get_serial_sequence('securities', 'id')) AS security_id,
        ticker, first_day, last_day
    FROM unnest(CAST(:tickers AS text[]), CAST(:first_days AS date[]), CAST(:last_days AS date[]))
        AS missing (ticker, first_day, last_day)
),
known AS (
    INSERT INTO securities (id) SELECT security_id FROM added
),
listed AS (
    INSERT INTO security_tickers (security_id, ticker, first_day, last_day, source, certain)
    SELECT security_id, ticker, first_day, last_day, 'assumed', false FROM added
),
named AS (
    INSERT INTO symbol_identities (symbol_id, symbol, asset_class, calendar, security_id)
    SELECT symbol_id, ticker, CAST(:asset_class AS text), CAST(:calendar AS text), security_id FROM added
)
SELECT symbol_id::integer AS symbol_id, security_id, ticker, first_day FROM added
