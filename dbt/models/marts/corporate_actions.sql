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
        fetched_at,
        NULL AS rejected_because
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
        fetched_at,
        NULL
    FROM {{ ref("stg_dividends") }}
    UNION ALL
    SELECT
        symbol,
        CASE kind WHEN 'splits' THEN 'split' ELSE 'dividend' END,
        date,
        {{ json_number("payload", "split_from") }},
        {{ json_number("payload", "split_to") }},
        NULL,
        {{ json_number("payload", "cash_amount") }},
        payload ->> 'currency',
        coalesce(payload ->> 'dividend_type', payload ->> 'distribution_type'),
        NULL,
        NULL,
        NULL,
        NULL,
        coalesce(payload ->> 'vendor_id', payload ->> 'id'),
        source,
        first_rejected_at,
        array_to_string(reasons, '; ')
    FROM {{ ref("stg_rejected_corporate_actions") }}
    WHERE listed
),

numbered AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY symbol, kind, ex_date, dividend_type
            ORDER BY rejected_because NULLS FIRST, vendor_id, cash_amount, split_to, fetched_at
        ) AS number
    FROM actions
),

-- The session with which each takes effect, and the joint effect of all actions of that session.
placed AS (
    SELECT
        numbered.*,
        applied.session,
        applied.previous_date,
        applied.previous_close,
        applied.dividend_factor,
        applied.split_factor AS splits_of_session
    FROM numbered
    LEFT JOIN LATERAL (
        SELECT *
        FROM {{ ref("int_corporate_actions") }} AS sessions
        WHERE sessions.symbol = numbered.symbol
            AND sessions.session >= numbered.ex_date
            AND numbered.ex_date <= {{ new_york_today() }}
        ORDER BY sessions.session
        LIMIT 1
    ) AS applied ON true
)

SELECT
    concat_ws(' ', symbol, kind, ex_date::text, dividend_type, CASE WHEN number > 1 THEN '#' || number END) AS action_id,
    symbol,
    kind,
    ex_date,
    session IS NOT NULL OR ex_date IS NULL AS in_effect,
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
        WHEN rejected_because IS NOT NULL THEN rejected_because
        WHEN session IS NULL THEN 'announced'
        WHEN kind = 'split' AND splits_of_session IS NULL THEN 'another split of that day is not known'
        WHEN kind = 'split' OR dividend_factor IS NOT NULL THEN NULL
        WHEN (currency IS DISTINCT FROM 'USD') THEN 'not in US dollars'
        WHEN previous_date IS NULL THEN 'no close in the ten sessions before'
        WHEN previous_close IS NULL THEN 'a split since the close before is not known'
        ELSE 'cannot be combined with another of that day, or exceeds the close before'
    END AS not_applied_because,
    vendor_id,
    source,
    fetched_at
FROM placed
