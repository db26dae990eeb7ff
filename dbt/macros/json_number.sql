{# A positive number in a JSON record; NULL if it is anything else, such as a number out of double precision's range. #}
{% macro json_number(record, name) -%}
    CASE
        WHEN json_typeof({{ record }} -> '{{ name }}') = 'number' AND ({{ record }} ->> '{{ name }}')::numeric BETWEEN 1e-300 AND 1e300
            THEN ({{ record }} ->> '{{ name }}')::double precision
    END
{%- endmacro %}
