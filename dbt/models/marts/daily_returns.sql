{{ config(
    materialized="incremental",
    incremental_strategy="delete+insert",
    unique_key=["symbol", "date"],
    post_hook=["{{ delete_returns_without_bar() }}", "ANALYZE {{ this }}"],
    indexes=[{"columns": ["date"]}],
) }}

-- The values of this bar and the one before that make a return.
WITH bars AS NOT MATERIALIZED (
    SELECT
        bars.symbol,
        bars.date,
        sessions.number AS session_number,
        bars.close,
        CASE
            WHEN NOT symbols.splits_known THEN NULL
            WHEN actions.symbol IS NULL THEN 1
            ELSE actions.split_factor
        END AS split_factor,
        CASE
            WHEN NOT symbols.dividends_known THEN NULL
            WHEN actions.symbol IS NULL THEN 0
            ELSE actions.cash_amount
        END AS dividend
    FROM {{ ref("stg_market_data") }} AS bars
    JOIN {{ ref("int_symbols") }} AS symbols ON symbols.symbol = bars.symbol
    LEFT JOIN {{ ref("int_sessions") }} AS sessions
        ON sessions.calendar = symbols.calendar AND sessions.date = bars.date
    LEFT JOIN {{ ref("int_bar_actions") }} AS actions ON actions.symbol = bars.symbol AND actions.date = bars.date
),

{% if is_incremental() %}
-- The first bar of each symbol that differs from the one that the table was made from.
changed AS (
    SELECT symbol, min(date) AS since
    FROM bars
    FULL JOIN {{ this }} AS held USING (symbol, date)
    WHERE (bars.session_number, bars.close, bars.split_factor, bars.dividend)
        IS DISTINCT FROM (held.session_number, held.close, held.split_factor, held.dividend)
    GROUP BY symbol
),

-- From the bar before, which the first return needs.
due AS (
    SELECT
        symbol,
        since,
        coalesce(
            (
                SELECT max(earlier.date)
                FROM {{ ref("stg_market_data") }} AS earlier
                WHERE earlier.symbol = changed.symbol AND earlier.date < changed.since
            ),
            since
        ) AS bar_before
    FROM changed
),

due_bars AS (
    SELECT bars.*, bars.date >= due.since AS is_due
    FROM due
    JOIN bars ON bars.symbol = due.symbol AND bars.date >= due.bar_before
),
{% else %}
due_bars AS (
    SELECT bars.*, true AS is_due FROM bars
),
{% endif %}

compared AS (
    SELECT
        due_bars.*,
        lag(date) OVER earlier AS previous_date,
        session_number - lag(session_number) OVER earlier AS sessions_spanned,
        CASE
            WHEN session_number - lag(session_number) OVER earlier <= 10
                THEN lag(close) OVER earlier * split_factor
        END AS previous_close
    FROM due_bars
    WINDOW earlier AS (PARTITION BY symbol ORDER BY date)
)

SELECT
    symbol,
    date,
    session_number,
    previous_date,
    sessions_spanned,
    close,
    previous_close,
    split_factor,
    dividend,
    close / previous_close - 1 AS simple_return,
    ln(close / previous_close) AS log_return,
    (close + dividend) / previous_close - 1 AS total_return
FROM compared
WHERE is_due
{% if is_incremental() %}
    AND NOT EXISTS (
        SELECT FROM {{ this }} AS held
        WHERE held.symbol = compared.symbol
            AND held.date = compared.date
            AND (
                held.session_number, held.previous_date, held.close, held.previous_close, held.split_factor,
                held.dividend
            ) IS NOT DISTINCT FROM (
                compared.session_number, compared.previous_date, compared.close, compared.previous_close,
                compared.split_factor, compared.dividend
            )
    )
{% endif %}
