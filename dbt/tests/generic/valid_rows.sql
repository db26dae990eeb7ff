{#
    All rules of a model's rows in one test, as each test costs dbt as much as checking a night's rows. The key, if the
    table has no primary key, identifies the rows; each condition holds where its columns are known; and a column has NULLs
    only if its description mentions NULL. `broken` names the rules that a row breaks.
#}
{% test valid_rows(model, key=none, conditions=[]) %}
    {%- set nulls = "num_nulls(" ~ columns_described_without_null(key or []) ~ ") = 0" -%}
    SELECT *
    FROM (
        SELECT
            {{ (key or ["*"]) | join(", ") }},
            array_remove(ARRAY[
                {% if key %} CASE WHEN count(*) > 1 THEN 'one row for each key' END, {% endif %}
                {% for condition in [nulls] + conditions %}
                CASE WHEN {{ "bool_or" if key }}(NOT ({{ condition }})) THEN '{{ condition | trim | replace("'", "''") }}' END
                {{- "," if not loop.last }}
                {% endfor %}
            ], NULL) AS broken
        FROM {{ model }}
        {% if key %} GROUP BY {{ key | join(", ") }} {% endif %}
    ) AS checked
    WHERE broken <> '{}'
{% endtest %}
