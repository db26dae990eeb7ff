{#
    The values of a bar that its return and the next one's are made of. `bars` is a relation with the closes: symbol, date,
    close.
#}
{% macro return_inputs(bars) %}
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
FROM {{ bars }} AS bars
JOIN {{ ref("int_symbols") }} AS symbols ON symbols.symbol = bars.symbol
LEFT JOIN {{ ref("int_sessions") }} AS sessions ON sessions.calendar = symbols.calendar AND sessions.date = bars.date
LEFT JOIN {{ ref("int_bar_actions") }} AS actions ON actions.symbol = bars.symbol AND actions.date = bars.date
{% endmacro %}

{# The values of a subquery's bars that differ from those that the table was made from: symbol, date. #}
{% macro differing_returns(bars, join="JOIN", date="date") %}
SELECT symbol, {{ date }} AS date
FROM ({{ return_inputs(bars) }}) AS bars
{{ join }} {{ this }} AS held USING (symbol, date)
WHERE (bars.session_number, bars.close, bars.split_factor, bars.dividend)
    IS DISTINCT FROM (held.session_number, held.close, held.split_factor, held.dividend)
{% endmacro %}

{#
    The bars whose values differ from those that the table was made from. At night their closes differ only where they have
    changed; what else a return is made of differs at the bars with a split or dividend, or at all bars of a symbol, and
    then at its newest.
#}
{% macro changed_returns() %}
{% if changes_only() %}
SELECT symbol, date FROM {{ changed_bars() }}
UNION ALL
{{ differing_returns("(" ~ returns_with_action() ~ ")") }}
UNION ALL
{{ differing_returns("(" ~ newest_returns() ~ ")", date="date '-infinity'") }}
{% else %}
{{ differing_returns(ref("stg_market_data"), join="FULL JOIN") }}
{% endif %}
{% endmacro %}

{# The table's rows with a split or dividend, and those that should have one. #}
{% macro returns_with_action() %}
SELECT symbol, date, close FROM {{ this }} WHERE split_factor IS DISTINCT FROM 1 OR dividend IS DISTINCT FROM 0
UNION
SELECT symbol, date, held.close FROM {{ ref("int_bar_actions") }} JOIN {{ this }} AS held USING (symbol, date)
{% endmacro %}

{# The table's newest row of each symbol. #}
{% macro newest_returns() %}
SELECT newest.symbol, newest.date, newest.close
FROM {{ ref("int_symbols") }} AS symbols
CROSS JOIN LATERAL (
    SELECT held.symbol, held.date, held.close
    FROM {{ this }} AS held
    WHERE held.symbol = symbols.symbol
    ORDER BY held.date DESC
    LIMIT 1
) AS newest
{% endmacro %}

{#
    Deletes the rows of removed bars, which delete+insert leaves. Afterwards, as the next bars' returns are found by them.
    A complete build skips it if the numbers agree, as every bar has its row by then.
#}
{% macro delete_returns_without_bar() %}
    {% if is_incremental() %}
    DELETE FROM {{ this }} AS held
    {% if changes_only() %}
    USING {{ changed_bars() }} AS changed
    WHERE changed.symbol = held.symbol AND changed.date = held.date
    {% else %}
    WHERE (SELECT count(*) FROM {{ this }}) > (SELECT count(*) FROM {{ source("warehouse", "market_data") }})
    {% endif %}
        AND NOT EXISTS (
            SELECT FROM {{ source("warehouse", "market_data") }} AS bars
            WHERE bars.symbol = held.symbol AND bars.date = held.date
        )
    {% endif %}
{% endmacro %}
