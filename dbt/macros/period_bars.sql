{#
    Bars of whole weeks or months, from the daily ones: `period` is the column of int_sessions that names a session's.
    int_sessions gives a period's sessions; a value that is unknown for one of the loaded ones is unknown for the period.
#}
{% macro period_bars(period) %}
SELECT
    bars.symbol,
    sessions.{{ period }},
    sessions.{{ period }}_first_session AS first_session,
    sessions.{{ period }}_last_session AS last_session,
    sessions.{{ period }}_sessions AS sessions_expected,
    count(*)::integer AS sessions_loaded,
    count(*) = sessions.{{ period }}_sessions AS is_complete,
    (array_agg(bars.open ORDER BY bars.date))[1] AS open,
    {{ if_known("high", "max(bars.high)") }} AS high,
    {{ if_known("low", "min(bars.low)") }} AS low,
    (array_agg(bars.close ORDER BY bars.date DESC))[1] AS close,
    {{ if_known("volume", "sum(bars.volume)") }} AS volume,
    {{ if_known("vwap", "sum(bars.vwap * bars.volume) / nullif(sum(bars.volume), 0)") }} AS vwap,
    {{ if_known("transactions", "sum(bars.transactions)") }}::bigint AS transactions,
    (array_agg(bars.adj_open ORDER BY bars.date))[1] AS adj_open,
    {{ if_known("adj_high", "max(bars.adj_high)") }} AS adj_high,
    {{ if_known("adj_low", "min(bars.adj_low)") }} AS adj_low,
    (array_agg(bars.adj_close ORDER BY bars.date DESC))[1] AS adj_close,
    (count(*) FILTER (WHERE NOT bars.validated))::integer AS flagged
FROM {{ ref("daily_bars_adjusted") }} AS bars
JOIN {{ ref("stg_tracked_symbols") }} AS symbols ON symbols.symbol = bars.symbol
JOIN {{ ref("int_sessions") }} AS sessions ON sessions.calendar = symbols.calendar AND sessions.date = bars.date
GROUP BY
    bars.symbol,
    sessions.{{ period }},
    sessions.{{ period }}_first_session,
    sessions.{{ period }}_last_session,
    sessions.{{ period }}_sessions
{% endmacro %}

{% macro if_known(column, total) -%}
    CASE WHEN count(bars.{{ column }}) = count(*) THEN {{ total }} END
{%- endmacro %}
