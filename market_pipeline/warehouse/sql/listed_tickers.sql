-- The tickers known on a day: those of stored symbols and, if the day is the present one, the rest of the vendor's own list.
-- active: the ticker was its security's on that day, and had not ended. Parameters: stock_day, crypto_day, is_present.
WITH held AS NOT MATERIALIZED (
    SELECT
        period.ticker,
        named.symbol,
        CASE named.calendar WHEN '24/7' THEN 'crypto' ELSE 'stocks' END AS market,
        coalesce(security.name, listed.name, tracked.name) AS name,
        coalesce(tracked.primary_exchange, listed.primary_exchange) AS primary_exchange,
        coalesce(security.type, listed.type, tracked.vendor_type) AS type,
        security.cik,
        security.composite_figi,
        security.share_class_figi,
        greatest(tracked.checked_at, security.checked_at)::date AS last_updated_utc,
        greatest(period.first_day, listed.first_session) AS first_day,
        least(
            period.last_day, tracked.delisted_on, CASE WHEN listed.state = 'ended' THEN listed.last_session END
        ) AS last_day,
        CASE named.calendar WHEN '24/7' THEN :crypto_day::date ELSE :stock_day::date END AS day
    FROM symbol_identities AS named
    JOIN security_tickers AS period ON period.security_id = named.security_id
    LEFT JOIN securities AS security ON security.id = named.security_id
    LEFT JOIN tracked_symbols AS tracked ON tracked.id = named.symbol_id
    LEFT JOIN listings AS listed ON listed.symbol = named.symbol
)
SELECT
    held.ticker, held.symbol, held.market, held.name, held.primary_exchange, held.primary_exchange AS exchange, held.type, held.cik,
    NULL::text AS cusip, held.composite_figi, held.share_class_figi, held.last_updated_utc,
    coalesce(held.last_day >= held.day, true) AS active,
    CASE WHEN held.last_day < held.day THEN held.last_day END AS delisted_utc
FROM held
WHERE coalesce(held.first_day, '-infinity') <= held.day
UNION ALL
SELECT
    listed.ticker, NULL, CASE listed.market WHEN 'crypto' THEN 'crypto' ELSE 'stocks' END, listed.name, listed.primary_exchange,
    listed.primary_exchange, listed.type, NULL, NULL, listed.composite_figi, NULL, listed.fetched_at::date,
    listed.delisted_on IS NULL,
    listed.delisted_on
FROM reference_tickers AS listed
WHERE :is_present
    AND NOT EXISTS (
        SELECT FROM held
        WHERE held.ticker = listed.ticker
            AND (
                listed.delisted_on IS NULL AND held.last_day IS NULL
                -- A week covers the vendor's delays.
                OR listed.delisted_on BETWEEN held.last_day - 7 AND held.last_day + 7
            )
    )
