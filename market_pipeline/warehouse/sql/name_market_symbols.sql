-- Gives the symbols that aren't tracked, and have or had one of some tickers last, their names: the ticker, if no later listing
-- has it; with -US where a tracked symbol has taken that name; earlier ones' with the month of their last session, and a number
-- where two ended in one month. Parameters: calendar, tickers. Returns symbol_id and symbol of those renamed.
WITH last_period AS (
    SELECT DISTINCT ON (p.security_id) p.security_id, p.ticker, p.first_day, p.last_day
    FROM security_tickers AS p
    WHERE p.security_id IN (SELECT s.security_id FROM security_tickers AS s WHERE s.ticker = ANY(CAST(:tickers AS text[])))
    ORDER BY p.security_id ASC, p.last_day DESC NULLS FIRST
),
listing AS (
    SELECT
        named.symbol_id, named.symbol, last_period.ticker, tracked.id IS NOT NULL AS is_tracked,
        to_char(coalesce(listed.last_session, last_period.last_day), 'YYYYMM') AS month,
        row_number() OVER (
            PARTITION BY last_period.ticker
            ORDER BY last_period.first_day DESC NULLS LAST, last_period.last_day DESC NULLS FIRST, named.symbol_id ASC
        ) AS place
    FROM last_period
    JOIN symbol_identities AS named ON named.security_id = last_period.security_id AND named.calendar = :calendar
    LEFT JOIN tracked_symbols AS tracked ON tracked.id = named.symbol_id
    LEFT JOIN market_listings AS listed ON listed.symbol_id = named.symbol_id
    WHERE last_period.ticker = ANY(CAST(:tickers AS text[]))
),
ranked AS (
    SELECT
        symbol_id, symbol, ticker, place, month,
        row_number() OVER (PARTITION BY ticker, month, place > 1 ORDER BY place) AS of_month
    FROM listing
    WHERE NOT is_tracked
),
renamed AS (
    SELECT
        symbol_id, symbol,
        CASE
            WHEN place > 1 THEN concat_ws('-', ticker, coalesce(month, 'unseen'), CASE WHEN of_month > 1 THEN of_month END)
            WHEN EXISTS (SELECT FROM tracked_symbols AS t WHERE t.symbol = ranked.ticker) THEN ticker || '-US'
            ELSE ticker
        END AS name
    FROM ranked
)
UPDATE symbol_identities AS held
SET symbol = renamed.name
FROM renamed
WHERE held.symbol_id = renamed.symbol_id AND held.symbol <> renamed.name
RETURNING held.symbol_id, held.symbol
