-- How many symbols a market listed in each month with a whole session, and how many of them are gone now.
CREATE OR REPLACE VIEW listings_by_month AS
SELECT
    months.market,
    months.month,
    months.sessions,
    sum(listed.symbols)::bigint AS listed,
    coalesce(sum(listed.symbols) FILTER (WHERE listed.is_gone), 0)::bigint AS gone,
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
    -- Counted before the join: comparing 11,000 symbols with each of 60 months takes a second.
    SELECT
        l.market,
        date_trunc('month', l.first_session)::date AS first_month,
        date_trunc('month', l.last_session)::date AS last_month,
        l.last_session < recent.since AS is_gone,
        count(*) AS symbols
    FROM market_listings AS l
    JOIN (
        SELECT loaded.market, recent_since(loaded.market) AS since
        FROM (SELECT DISTINCT l.market FROM market_loads AS l WHERE l.success) AS loaded
        OFFSET 0 -- once for each market, not for each symbol
    ) AS recent ON recent.market = l.market
    GROUP BY 1, 2, 3, 4
) AS listed ON listed.market = months.market AND months.month BETWEEN listed.first_month AND listed.last_month
GROUP BY months.market, months.month, months.sessions;

COMMENT ON VIEW listings_by_month IS
    'The number of symbols that a market listed, month by month, those that are gone now among them.';
COMMENT ON COLUMN listings_by_month.market IS 'The market, as in markets.';
COMMENT ON COLUMN listings_by_month.month IS 'The first day of a month with sessions that are stored whole.';
COMMENT ON COLUMN listings_by_month.sessions IS 'The month''s sessions that are stored whole.';
COMMENT ON COLUMN listings_by_month.listed IS 'Symbols with a bar in the month, or with bars before and after it.';
COMMENT ON COLUMN listings_by_month.gone IS 'Those of them whose listing has ended by now, as in listings.';
COMMENT ON COLUMN listings_by_month.source IS 'Where its bars came from: polygon (the market) or sandbox (not the market).';
