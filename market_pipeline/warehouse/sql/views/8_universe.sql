-- The universe of a session: everything that traded, also what is gone now. The vendor's list adds what it knows, and decides
-- nothing. Parts that a call doesn't need, as of an instant or for a median, are not executed.
CREATE OR REPLACE FUNCTION universe(
    day date, market text DEFAULT 'us_stocks', as_of timestamptz DEFAULT NULL, types text[] DEFAULT NULL,
    min_price double precision DEFAULT NULL, min_dollar_volume double precision DEFAULT NULL
) RETURNS TABLE (
    date date, ticker text, symbol text, security_id bigint, name text, type text, primary_exchange text, first_session date,
    last_session date, price double precision, volume double precision, dollar_volume double precision,
    median_dollar_volume double precision
)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000
BEGIN ATOMIC
    SELECT
        day,
        traded.ticker,
        traded.symbol,
        traded.security_id,
        coalesce(traded.name, delisted.name, listed.name),
        coalesce(traded.type, delisted.type, listed.type, tracked.vendor_type),
        coalesce(tracked.primary_exchange, delisted.primary_exchange, listed.primary_exchange),
        traded.first_session,
        traded.last_session,
        traded.close,
        traded.volume,
        traded.close * traded.volume,
        usual.median
    FROM (SELECT replace($2, '-', '_') AS market) AS asked  -- us-stocks, as on the command line, is us_stocks
    CROSS JOIN LATERAL (
        -- All joins that PostgreSQL has statistics for are within one branch: of a union it knows nothing, took 11,000 rows
        -- for 7 million, and joined them by nested loops when the rows were wanted in order.
        SELECT
            b.symbol_id, b.close, b.volume, named.symbol, named.security_id, security.name, security.type, period.ticker,
            period.last_day, listing.first_session, listing.last_session
        FROM bars AS b
        JOIN market_listings AS listing ON listing.symbol_id = b.symbol_id AND listing.market = asked.market
        JOIN symbol_identities AS named ON named.symbol_id = b.symbol_id
        LEFT JOIN securities AS security ON security.id = named.security_id
        LEFT JOIN security_tickers AS period
            ON period.security_id = named.security_id
            AND day BETWEEN coalesce(period.first_day, '-infinity') AND coalesce(period.last_day, 'infinity')
        WHERE b.date = day AND as_of IS NULL
        UNION ALL
        SELECT
            b.symbol_id, b.close, b.volume, named.symbol, named.security_id, security.name, security.type, period.ticker,
            period.last_day, span.first_session, span.last_session
        FROM bars_as_of(as_of) AS b
        JOIN symbol_identities_as_of(as_of) AS named ON named.symbol_id = b.symbol_id
        LEFT JOIN securities_as_of(as_of) AS security ON security.id = named.security_id
        LEFT JOIN security_tickers_as_of(as_of) AS period
            ON period.security_id = named.security_id
            AND day BETWEEN coalesce(period.first_day, '-infinity') AND coalesce(period.last_day, 'infinity')
        CROSS JOIN LATERAL (
            -- The first and the last of the bars that are still stored, and of those that were taken out since.
            SELECT
                least(
                    (
                        SELECT v.date FROM bars AS v JOIN loads AS l ON l.id = v.load_id AND l.point <= as_of
                        WHERE v.symbol_id = b.symbol_id ORDER BY v.date LIMIT 1
                    ),
                    replaced.first_session
                ) AS first_session,
                greatest(
                    (
                        SELECT v.date FROM bars AS v JOIN loads AS l ON l.id = v.load_id AND l.point <= as_of
                        WHERE v.symbol_id = b.symbol_id ORDER BY v.date DESC LIMIT 1
                    ),
                    replaced.last_session
                ) AS last_session
            FROM (
                SELECT min(r.date) AS first_session, max(r.date) AS last_session
                FROM bars_revisions AS r
                JOIN loads AS began ON began.id = r.load_id AND began.point <= as_of
                JOIN loads AS ended ON ended.id = r.replaced_by AND ended.point > as_of
                WHERE r.symbol_id = b.symbol_id
            ) AS replaced
        ) AS span
        WHERE b.date = day AND as_of IS NOT NULL
            -- Listings have no versions, so the calendar tells the market.
            AND named.calendar = (SELECT m.calendar FROM markets AS m WHERE m.market = asked.market)
    ) AS traded
    -- Neither tracked_symbols nor the vendor's list is kept as of an instant: an answer would change when they do.
    LEFT JOIN tracked_symbols AS tracked ON tracked.id = traded.symbol_id AND as_of IS NULL
    LEFT JOIN (
        -- Once for all, so that only tickers with such an entry are looked up: 11,000 take 30 ms.
        SELECT r.market, r.ticker, max(r.delisted_on) AS newest
        FROM reference_tickers AS r
        WHERE r.delisted_on >= day - 7 AND as_of IS NULL
        GROUP BY r.market, r.ticker
    ) AS delisting ON delisting.market = asked.market AND delisting.ticker = traded.ticker
    LEFT JOIN LATERAL (
        SELECT r.name, r.type, r.primary_exchange, true AS is_known
        FROM reference_tickers AS r
        WHERE r.market = asked.market AND r.ticker = traded.ticker AND r.delisted_on >= traded.last_session - 7
            AND delisting.newest >= traded.last_session - 7
        ORDER BY r.delisted_on
        LIMIT 1
    ) AS delisted ON true
    LEFT JOIN reference_tickers AS listed
        ON listed.market = asked.market AND listed.ticker = traded.ticker AND listed.delisted_on IS NULL
        AND traded.last_day IS NULL AND as_of IS NULL
        AND delisted.is_known IS NULL -- else the ticker is another one's now
    LEFT JOIN LATERAL (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY latest.dollars) AS median
        FROM (
            (
                SELECT b.date, b.close * b.volume AS dollars
                FROM bars AS b
                WHERE b.symbol_id = traded.symbol_id AND b.date BETWEEN day - 365 AND day
                    AND as_of IS NULL
                ORDER BY b.date DESC
                LIMIT 20
            )
            UNION ALL
            (
                SELECT b.date, b.close * b.volume
                FROM bars_as_of(as_of) AS b
                WHERE b.symbol_id = traded.symbol_id AND b.date BETWEEN day - 365 AND day
                    AND as_of IS NOT NULL
                ORDER BY b.date DESC
                LIMIT 20
            )
        ) AS latest
        WHERE min_dollar_volume IS NOT NULL
    ) AS usual ON min_dollar_volume IS NOT NULL
    WHERE EXISTS (
            SELECT FROM market_loads AS l
            LEFT JOIN loads ON loads.id = l.load_id
            WHERE l.market = asked.market AND l.date = day AND l.success
                AND (as_of IS NULL OR coalesce(loads.point, l.ended_at) <= as_of)
        )
        AND (min_price IS NULL OR traded.close >= min_price)
        AND (min_dollar_volume IS NULL OR usual.median >= min_dollar_volume)
        AND (
            types IS NULL
            OR coalesce(traded.type, delisted.type, listed.type, tracked.vendor_type) = ANY(types)
        );
END;
COMMENT ON FUNCTION universe(date, text, timestamptz, text[], double precision, double precision) IS
    'Everything that traded in a market on a session: select * from universe(''2024-06-03''). Empty for a session that is not loaded '
    'whole: market_sessions says why. market is us_stocks, us-stocks or crypto. types are the vendor''s codes, such as CS or ETF; a '
    'ticker of unknown type has none of them. '
    'min_dollar_volume compares with the median of the last 20 bars of a year, this one included, which is given then; '
    'price is the close as traded. With as_of, bars, first and last sessions, and names and types of the security master are as they '
    'were at that instant, which has to be settled; those of the vendor''s list are not given.';
