{# The date in New York, by which splits and dividends take effect, as the warehouse's own function gives it. #}
{% macro new_york_today() -%} public.new_york_today() {%- endmacro %}
