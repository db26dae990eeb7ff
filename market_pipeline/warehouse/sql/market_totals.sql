-- Totals of every market: its sessions by state, its symbols, and the vendor's list.
SELECT
    markets.market, markets.active, session.first_session, session.last_session, session.loaded, session.corrected,
    session.suspicious, session.not_yet_available, session.not_in_plan, session.failed, session.never_asked, symbol.symbols, symbol.trading,
    symbol.symbols - symbol.trading AS ended, reference.reference_tickers, reference.listed
FROM markets
CROSS JOIN LATERAL (
    SELECT
        min(s.date) FILTER (WHERE s.loaded_at IS NOT NULL) AS first_session,
        max(s.date) FILTER (WHERE s.loaded_at IS NOT NULL) AS last_session,
        count(*) FILTER (WHERE s.state = 'loaded') AS loaded,
        count(*) FILTER (WHERE s.state = 'corrected') AS corrected,
        count(*) FILTER (WHERE s.state = 'suspicious') AS suspicious,
        count(*) FILTER (WHERE s.state = 'not_yet_available') AS not_yet_available,
        count(*) FILTER (WHERE s.state = 'not_in_plan') AS not_in_plan,
        count(*) FILTER (WHERE s.state = 'failed') AS failed,
        count(*) FILTER (WHERE s.state = 'never_asked') AS never_asked
    FROM market_sessions AS s
    WHERE s.market = markets.market
) AS session
CROSS JOIN LATERAL (
    SELECT count(*) AS symbols, count(*) FILTER (WHERE l.state = 'trading') AS trading
    FROM listings AS l
    WHERE l.market = markets.market
) AS symbol
CROSS JOIN LATERAL (
    SELECT count(*) AS reference_tickers, count(*) FILTER (WHERE r.delisted_on IS NULL) AS listed
    FROM reference_tickers AS r
    WHERE r.market = markets.market
) AS reference
ORDER BY markets.market
