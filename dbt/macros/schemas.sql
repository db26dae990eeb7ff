{# A model's schema is the one that dbt_project.yml names, exactly; dbt's own macro would put the target's before it. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
