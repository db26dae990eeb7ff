{{ config(
    materialized="incremental",
    incremental_strategy="delete+insert",
    unique_key=["date", "symbol_id"],
    post_hook=["{{ delete_universe_without_bar() }}", "{{ analyze() }}"],
) }}

{% if is_incremental() %}
WITH
{% if changes_only() %}
{{ newer_loads() }},
{% endif %}

changed AS MATERIALIZED (
    {{ changed_universe() }}
),

-- A bar counts in its own median and in those of the 19 bars after it, of which the next changed one looks at its own.
ordered AS (
    SELECT
        changed.symbol_id,
        changed.date,
        lead(changed.date) OVER (PARTITION BY changed.symbol_id ORDER BY changed.date) AS next_date
    FROM changed
    JOIN {{ ref("stg_market_listings") }} AS listed ON listed.symbol_id = changed.symbol_id
),

due AS (
    SELECT symbol_id, date FROM ordered
    UNION
    SELECT ordered.symbol_id, later.date
    FROM ordered
    CROSS JOIN LATERAL (
        SELECT bars.date
        FROM {{ ref("stg_bars") }} AS bars
        WHERE bars.symbol_id = ordered.symbol_id
            AND bars.date > ordered.date
            AND bars.date <= ordered.date + 365
        ORDER BY bars.date
        LIMIT 19
    ) AS later
    WHERE ordered.next_date IS NULL
        OR EXISTS (
            SELECT FROM {{ ref("stg_bars") }} AS bars
            WHERE bars.symbol_id = ordered.symbol_id AND bars.date > ordered.date AND bars.date < ordered.next_date
        )
),
{% else %}
WITH due AS (
    SELECT bars.symbol_id, bars.date
    FROM {{ ref("stg_bars") }} AS bars
    JOIN {{ ref("stg_market_listings") }} AS listed ON listed.symbol_id = bars.symbol_id
),
{% endif %}

fresh AS (
    SELECT due.date, due.symbol_id, bars.load_id, bars.close AS price, bars.volume, usual.median_dollar_volume
    FROM due
    JOIN {{ ref("stg_bars") }} AS bars ON bars.symbol_id = due.symbol_id AND bars.date = due.date
    CROSS JOIN LATERAL (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY latest.dollars) AS median_dollar_volume
        FROM (
            SELECT earlier.close * earlier.volume AS dollars
            FROM {{ ref("stg_bars") }} AS earlier
            WHERE earlier.symbol_id = due.symbol_id AND earlier.date BETWEEN due.date - 365 AND due.date
            ORDER BY earlier.date DESC
            LIMIT 20
        ) AS latest
    ) AS usual
)

SELECT
    date,
    symbol_id,
    load_id,
    price,
    volume,
    median_dollar_volume
FROM fresh
{% if is_incremental() %}
WHERE NOT EXISTS (
    SELECT FROM {{ this }} AS held
    WHERE held.symbol_id = fresh.symbol_id
        AND held.date = fresh.date
        AND (held.load_id, held.median_dollar_volume) = (fresh.load_id, fresh.median_dollar_volume)
)
{% endif %}
