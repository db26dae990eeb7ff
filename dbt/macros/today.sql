{# The date in New York, where splits and dividends take effect; the variable `today` overrides it. #}
{% macro new_york_today() -%}
    {%- if var("today") -%}
        DATE '{{ var("today") }}'
    {%- else -%}
        (now() AT TIME ZONE 'America/New_York')::date
    {%- endif -%}
{%- endmacro %}
