-- The tickers known on a day: those of stored symbols and, if the day is the present one, the rest of the vendor's own list.
-- active: the ticker was its security's on that day, and had not ended. The vendor's list goes before an end that is inferred from
-- missing bars, which is no delisted_utc. is_listed: false if a list is stored that lacks the ticker. A coin's currencies follow
-- from its ticker: the prefix of crypto, the coin, the three letters of the other currency.
-- Parameters: stock_day, crypto_day, is_present; currencies: the names of currencies by their codes, as JSON.
WITH held AS NOT MATERIALIZED (
    SELECT
        period.ticker,
        named.symbol,
        CASE named.calendar WHEN '24/7' THEN 'crypto' ELSE 'stocks' END AS market,
        entry.id AS entry_id,
        CASE WHEN entry.id IS NULL THEN coalesce(security.name, tracked.name) ELSE entry.name END AS name,
        CASE WHEN entry.id IS NULL THEN tracked.primary_exchange ELSE entry.primary_exchange END AS primary_exchange,
        CASE WHEN entry.id IS NULL THEN coalesce(security.type, tracked.vendor_type) ELSE entry.type END AS type,
        CASE WHEN entry.id IS NULL THEN security.composite_figi ELSE entry.composite_figi END AS composite_figi,
        security.cik,
        security.share_class_figi,
        greatest(tracked.checked_at, security.checked_at, entry.fetched_at)::date AS last_updated_utc,
        greatest(period.first_day, listed.first_session) AS first_day,
        CASE
            WHEN entry.id IS NULL THEN least(
                period.last_day, tracked.delisted_on, CASE WHEN listed.state = 'ended' THEN listed.last_session END
            )
            ELSE entry.delisted_on
        END AS last_day,
        CASE
            WHEN entry.id IS NULL THEN least(
                CASE WHEN period.source <> 'assumed' THEN period.last_day END, tracked.delisted_on
            )
            ELSE entry.delisted_on
        END AS stated_last_day,
        CASE named.calendar WHEN '24/7' THEN :crypto_day::date ELSE :stock_day::date END AS day
    FROM symbol_identities AS named
    JOIN security_tickers AS period ON period.security_id = named.security_id
    LEFT JOIN securities AS security ON security.id = named.security_id
    LEFT JOIN tracked_symbols AS tracked ON tracked.id = named.symbol_id
    LEFT JOIN listings AS listed ON listed.symbol = named.symbol
    LEFT JOIN LATERAL (
        -- As in listings: a week covers the vendor's delays; the entry of a listed ticker is of whoever has it now.
        SELECT r.*
        FROM reference_tickers AS r
        WHERE r.market = CASE named.calendar WHEN '24/7' THEN 'crypto' ELSE 'us_stocks' END
            AND r.ticker = period.ticker
            AND CASE
                WHEN period.last_day IS NOT NULL THEN r.delisted_on BETWEEN period.last_day - 7 AND period.last_day + 7
                ELSE r.delisted_on IS NULL OR r.delisted_on >= coalesce(tracked.delisted_on, listed.last_session) - 7
            END
        ORDER BY r.delisted_on
        LIMIT 1
    ) AS entry ON true
),

known AS (
    SELECT
        held.ticker, held.symbol, held.market, held.name, held.primary_exchange, held.primary_exchange AS exchange, held.type, held.cik,
        NULL::text AS cusip, held.composite_figi, held.share_class_figi, held.last_updated_utc,
        coalesce(held.last_day >= held.day, true) AS active,
        CASE WHEN held.last_day < held.day THEN held.stated_last_day END AS delisted_utc,
        held.entry_id IS NOT NULL OR NOT :is_present OR NOT EXISTS (
            SELECT FROM reference_tickers AS r WHERE r.market = CASE held.market WHEN 'crypto' THEN 'crypto' ELSE 'us_stocks' END
        ) AS is_listed
    FROM held
    WHERE coalesce(held.first_day, '-infinity') <= held.day
    UNION ALL
    SELECT
        listed.ticker, NULL, CASE listed.market WHEN 'crypto' THEN 'crypto' ELSE 'stocks' END, listed.name, listed.primary_exchange,
        listed.primary_exchange, listed.type, NULL, NULL, listed.composite_figi, NULL, listed.fetched_at::date,
        listed.delisted_on IS NULL,
        listed.delisted_on,
        true
    FROM reference_tickers AS listed
    WHERE :is_present
        AND NOT EXISTS (SELECT FROM held WHERE held.ticker = listed.ticker AND held.entry_id = listed.id)
)

SELECT
    known.*,
    CASE known.market WHEN 'crypto' THEN 'global' ELSE 'us' END AS locale,
    CASE known.market
        WHEN 'crypto' THEN coalesce(CAST(:currencies AS jsonb) ->> right(known.ticker, 3), right(known.ticker, 3))
        ELSE 'usd'
    END AS currency_name,
    CASE known.market WHEN 'crypto' THEN right(known.ticker, 3) END AS currency_symbol,
    CASE known.market WHEN 'crypto' THEN substr(known.ticker, 3, length(known.ticker) - 5) END AS base_currency_symbol,
    CASE known.market WHEN 'crypto' THEN substr(known.ticker, 3, length(known.ticker) - 5) END AS base_currency_name
FROM known
