-- How many symbols a market listed in each month with a whole session, and how many of them are gone now.
CREATE OR REPLACE VIEW listings_by_month AS
SELECT
    months.market,
    months.month,
    months.sessions,
    count(*) AS listed,
    count(*) FILTER (WHERE listed.last_session < recent.since) AS gone,
    (SELECT b.source FROM bar_source AS b) AS source
FROM (
    SELECT
        whole.market,
        date_trunc('month', whole.date)::date AS month,
        count(*) AS sessions
    FROM (SELECT DISTINCT l.market, l.date FROM market_loads AS l WHERE l.success) AS whole
    GROUP BY whole.market, date_trunc('month', whole.date)
) AS months
JOIN (
    SELECT loaded.market, recent_since(loaded.market) AS since
    FROM (SELECT DISTINCT l.market FROM market_loads AS l WHERE l.success) AS loaded
    OFFSET 0 -- once for each market, not for each month
) AS recent ON recent.market = months.market
JOIN market_listings AS listed
    ON listed.market = months.market
    AND months.month BETWEEN date_trunc('month', listed.first_session) AND listed.last_session
GROUP BY months.market, months.month, months.sessions;

COMMENT ON VIEW listings_by_month IS
    'The number of symbols that a market listed, month by month, those that are gone now among them.';
COMMENT ON COLUMN listings_by_month.market IS 'The market, as in markets.';
COMMENT ON COLUMN listings_by_month.month IS 'The first day of a month with sessions that are stored whole.';
COMMENT ON COLUMN listings_by_month.sessions IS 'The month''s sessions that are stored whole.';
COMMENT ON COLUMN listings_by_month.listed IS 'Symbols with a bar in the month, or with bars before and after it.';
COMMENT ON COLUMN listings_by_month.gone IS 'Those of them whose listing has ended by now, as in listings.';
COMMENT ON COLUMN listings_by_month.source IS 'Where its bars came from: polygon (the market) or sandbox (not the market).';
