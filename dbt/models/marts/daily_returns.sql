{{ config(
    materialized="incremental",
    incremental_strategy="delete+insert",
    unique_key=["symbol", "date"],
    post_hook=["{{ delete_returns_without_bar() }}", "{{ analyze() }}"],
    indexes=[{"columns": ["date"]}],
) }}

WITH
{% if is_incremental() %}
-- The first bar of each symbol that differs.
changed AS (
    SELECT symbol, min(date) AS since
    FROM ({{ changed_returns() }}) AS differing
    GROUP BY symbol
),

-- From the bar before, which the first return needs. MATERIALIZED, so that it is looked up once and not for each bar.
due AS MATERIALIZED (
    SELECT
        symbol,
        since,
        coalesce(
            (
                SELECT max(earlier.date)
                FROM {{ this }} AS earlier
                WHERE earlier.symbol = changed.symbol AND earlier.date < changed.since
            ),
            since
        ) AS bar_before,
        date 'infinity' AS last
    FROM changed
),

-- One symbol after the other (OFFSET 0), so that no other bars are read. PostgreSQL takes a range for a short one.
due_closes AS (
    SELECT bar.*
    FROM due
    CROSS JOIN LATERAL (
        SELECT bars.symbol, bars.date, bars.close
        FROM {{ ref("stg_market_data") }} AS bars
        WHERE bars.symbol = due.symbol AND bars.date BETWEEN due.bar_before AND due.last
        OFFSET 0
    ) AS bar
),

due_bars AS (
    SELECT bars.*, bars.date >= due.since AS is_due
    FROM ({{ return_inputs("due_closes") }}) AS bars
    JOIN due ON due.symbol = bars.symbol
),
{% else %}
due_bars AS (
    SELECT bars.*, true AS is_due FROM ({{ return_inputs(ref("stg_market_data")) }}) AS bars
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
