{{ config(
    materialized="incremental",
    unique_key=["symbol", "session"],
    post_hook="ANALYZE {{ this }}",
) }}

-- A split pays nothing and a dividend leaves the number of shares alone; what a dividend in another currency pays, in
-- dollars, is not known.
WITH actions AS (
    SELECT symbol, execution_date AS ex_date, split_from / split_to AS split_factor, 0::double precision AS cash_amount
    FROM {{ ref("stg_splits") }}
    UNION ALL
    SELECT symbol, ex_dividend_date, 1.0, CASE WHEN currency = 'USD' THEN cash_amount END
    FROM {{ ref("stg_dividends") }}
),

-- An action takes effect with the first session on or after its date.
in_effect AS (
    SELECT
        actions.symbol,
        symbols.calendar,
        coalesce(
            (
                SELECT min(sessions.date)
                FROM {{ ref("int_sessions") }} AS sessions
                WHERE sessions.calendar = symbols.calendar AND sessions.date >= actions.ex_date
            ),
            actions.ex_date
        ) AS session,
        actions.split_factor,
        actions.cash_amount
    FROM actions
    JOIN {{ ref("int_symbols") }} AS symbols ON symbols.symbol = actions.symbol
    WHERE actions.ex_date <= {{ new_york_today() }}
),

by_session AS (
    SELECT
        symbol,
        calendar,
        session,
        {{ product("split_factor ORDER BY split_factor") }} AS split_factor,
        CASE WHEN bool_and(cash_amount IS NOT NULL) THEN sum(cash_amount ORDER BY cash_amount) END AS cash_amount
    FROM in_effect
    GROUP BY symbol, calendar, session
),

-- The last close before it, if it is no more than ten sessions old.
bars_before AS (
    SELECT by_session.*, bar.date AS previous_date, bar.close
    FROM by_session
    LEFT JOIN {{ ref("int_sessions") }} AS this
        ON this.calendar = by_session.calendar AND this.date = by_session.session
    LEFT JOIN LATERAL (
        SELECT bars.date, bars.close
        FROM {{ ref("stg_market_data") }} AS bars
        WHERE bars.symbol = by_session.symbol AND bars.date < by_session.session
        ORDER BY bars.date DESC
        LIMIT 1
    ) AS newest ON true
    LEFT JOIN {{ ref("int_sessions") }} AS sessions
        ON sessions.calendar = by_session.calendar AND sessions.date = newest.date
    LEFT JOIN LATERAL (
        SELECT newest.date, newest.close WHERE sessions.number >= this.number - 10
    ) AS bar ON true
),

-- In shares of this session, whatever splits have come between; the one of this very session is among them.
in_its_shares AS (
    SELECT
        bars_before.symbol,
        bars_before.session,
        bars_before.split_factor,
        bars_before.cash_amount,
        bars_before.previous_date,
        bars_before.close * {{ product("splits.split_factor ORDER BY splits.session") }} AS previous_close
    FROM bars_before
    LEFT JOIN by_session AS splits
        ON splits.symbol = bars_before.symbol
        AND splits.session > bars_before.previous_date
        AND splits.session <= bars_before.session
    GROUP BY
        bars_before.symbol,
        bars_before.session,
        bars_before.split_factor,
        bars_before.cash_amount,
        bars_before.previous_date,
        bars_before.close
)

SELECT
    symbol,
    session,
    split_factor,
    cash_amount,
    previous_date,
    previous_close,
    CASE
        WHEN cash_amount = 0 THEN 1
        WHEN cash_amount < previous_close THEN 1 - cash_amount / previous_close
    END AS dividend_factor
FROM in_its_shares
