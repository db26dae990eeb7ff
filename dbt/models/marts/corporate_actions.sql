WITH actions AS (
    SELECT
        symbol,
        'split' AS kind,
        execution_date AS ex_date,
        split_from,
        split_to,
        split_from / split_to AS split_factor,
        NULL::double precision AS cash_amount,
        NULL AS currency,
        NULL AS dividend_type,
        NULL::integer AS frequency,
        NULL::date AS declaration_date,
        NULL::date AS record_date,
        NULL::date AS pay_date,
        vendor_id,
        source,
        fetched_at
    FROM {{ ref("stg_splits") }}
    UNION ALL
    SELECT
        symbol,
        'dividend',
        ex_dividend_date,
        NULL,
        NULL,
        NULL,
        cash_amount,
        currency,
        dividend_type,
        frequency,
        declaration_date,
        record_date,
        pay_date,
        vendor_id,
        source,
        fetched_at
    FROM {{ ref("stg_dividends") }}
),

-- The session with which each takes effect, and the joint effect of all actions of that session.
placed AS (
    SELECT actions.*, applied.session, applied.previous_date, applied.previous_close, applied.dividend_factor
    FROM actions
    LEFT JOIN LATERAL (
        SELECT sessions.session, sessions.previous_date, sessions.previous_close, sessions.dividend_factor
        FROM {{ ref("int_corporate_actions") }} AS sessions
        WHERE sessions.symbol = actions.symbol
            AND sessions.session >= actions.ex_date
            AND actions.ex_date <= {{ new_york_today() }}
        ORDER BY sessions.session
        LIMIT 1
    ) AS applied ON true
)

SELECT
    concat_ws(' ', symbol, kind, ex_date::text, dividend_type) AS action_id,
    symbol,
    kind,
    ex_date,
    session IS NOT NULL AS in_effect,
    split_from,
    split_to,
    split_factor,
    cash_amount,
    currency,
    dividend_type,
    frequency,
    declaration_date,
    record_date,
    pay_date,
    CASE WHEN kind = 'dividend' THEN previous_date END AS previous_date,
    CASE WHEN kind = 'dividend' THEN previous_close END AS previous_close,
    CASE WHEN kind = 'dividend' THEN dividend_factor END AS dividend_factor,
    CASE
        WHEN session IS NULL THEN 'announced'
        WHEN kind = 'split' OR dividend_factor IS NOT NULL THEN NULL
        WHEN (currency IS DISTINCT FROM 'USD') THEN 'not in US dollars'
        WHEN previous_close IS NULL THEN 'no close in the ten sessions before'
        ELSE 'cannot be combined with another of that day, or exceeds the close before'
    END AS not_applied_because,
    vendor_id,
    source,
    fetched_at
FROM placed
