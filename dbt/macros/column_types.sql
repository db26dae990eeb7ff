{# Column types as PostgreSQL writes them, text[] and not ARRAY, so that unit tests can write them back. #}
{% macro postgres__get_columns_in_relation(relation) -%}
    {% call statement("get_columns_in_relation", fetch_result=True) %}
        SELECT
            attname AS column_name,
            format_type(atttypid, atttypmod) AS data_type,
            NULL::integer AS character_maximum_length,
            NULL::integer AS numeric_precision,
            NULL::integer AS numeric_scale
        FROM pg_attribute
        WHERE attrelid = to_regclass('{{ relation }}') AND attnum > 0 AND NOT attisdropped
        ORDER BY attnum
    {% endcall %}
    {{ return(sql_convert_columns_in_relation(load_result("get_columns_in_relation").table)) }}
{% endmacro %}
