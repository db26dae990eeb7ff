-- Listings of markets, and the rule by which they end.
CREATE OR REPLACE FUNCTION recent_since(of_market text) RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN count(*) = 10 THEN min(newest.date) END
    FROM (
        SELECT DISTINCT l.date FROM market_loads AS l
        WHERE l.market = of_market AND l.success
        ORDER BY l.date DESC
        LIMIT 10
    ) AS newest;
END;
COMMENT ON FUNCTION recent_since(text) IS
    'The first of the last ten loaded sessions of a market; NULL with fewer. A listing without a bar since then has ended.';

-- Every symbol that a market's sessions had, from its first to its last bar, with what the vendor's list knows of it.
CREATE OR REPLACE VIEW listings AS
SELECT
    listed.market,
    period.ticker,
    named.symbol,
    named.security_id,
    listed.first_session,
    listed.last_session,
    CASE WHEN listed.last_session >= recent.since THEN 'trading' ELSE 'ended' END AS state,
    coalesce(security.name, reference.name) AS name,
    coalesce(security.type, reference.type, tracked.vendor_type) AS type,
    coalesce(tracked.primary_exchange, reference.primary_exchange) AS primary_exchange
FROM market_listings AS listed
JOIN symbol_identities AS named ON named.symbol_id = listed.symbol_id
JOIN (
    SELECT markets.market, coalesce(recent_since(markets.market), '-infinity') AS since FROM markets
    OFFSET 0 -- once for each market, not for each symbol
) AS recent ON recent.market = listed.market
LEFT JOIN tracked_symbols AS tracked ON tracked.id = listed.symbol_id
LEFT JOIN securities AS security ON security.id = named.security_id
LEFT JOIN LATERAL (
    SELECT p.ticker, p.last_day
    FROM security_tickers AS p
    WHERE p.security_id = named.security_id
    ORDER BY p.last_day DESC NULLS FIRST
    LIMIT 1
) AS period ON true
LEFT JOIN LATERAL (
    -- A week covers the vendor's delays; the entry of a listed ticker is of whoever has it now.
    SELECT r.name, r.type, r.primary_exchange
    FROM reference_tickers AS r
    WHERE r.market = listed.market AND r.ticker = period.ticker
        AND (r.delisted_on >= listed.last_session - 7 OR r.delisted_on IS NULL AND period.last_day IS NULL)
    ORDER BY r.delisted_on
    LIMIT 1
) AS reference ON true;

COMMENT ON VIEW listings IS
    'Every symbol that had a bar in a session of a market, with its first and last one. Those that are gone are among them.';
COMMENT ON COLUMN listings.market IS 'The market, as in markets.';
COMMENT ON COLUMN listings.ticker IS 'Its last ticker at the vendor.';
COMMENT ON COLUMN listings.symbol IS
    'Its name here: the ticker, if no later listing and no tracked symbol has it; else the ticker and the month of its last '
    'session, as in META-202201.';
COMMENT ON COLUMN listings.security_id IS 'The security, as in securities; its tickers are in security_tickers.';
COMMENT ON COLUMN listings.first_session IS 'Its first session with a bar.';
COMMENT ON COLUMN listings.last_session IS 'Its last session with a bar.';
COMMENT ON COLUMN listings.state IS 'trading; ended (no bar in the last ten loaded sessions; a later bar reopens it).';
COMMENT ON COLUMN listings.name IS 'The company''s or fund''s name; NULL where no source gives one.';
COMMENT ON COLUMN listings.type IS 'The vendor''s type code, e.g. CS, ADRC, ETF; NULL where no source gives one.';
COMMENT ON COLUMN listings.primary_exchange IS 'Its exchange by ISO 10383 code, e.g. XNAS; NULL where no source gives one.';
