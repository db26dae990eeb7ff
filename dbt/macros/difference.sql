{#
    The incremental strategy `difference`: the table becomes its query's result by changing only the rows that differ.

    The whole query is computed and compared with the table row by row, so that a nightly build leaves exactly what a
    full one would, after any change since the last: new, revised, late or removed bars.
    In place, because a table that is replaced takes every view on it with it.
#}
{% macro get_incremental_difference_sql(arg_dict) %}
    {%- set target, fresh = arg_dict["target_relation"], arg_dict["temp_relation"] -%}
    {%- set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) -%}
    {%- set same_key = [] -%}
    {%- for column in arg_dict["unique_key"] -%}
        {%- do same_key.append("fresh." ~ column ~ " = held." ~ column) -%}
    {%- endfor -%}
    {%- set values = [] -%}
    {%- for side in ["fresh", "held"] -%}
        {%- set names = [] -%}
        {%- for column in arg_dict["dest_columns"] -%}
            {%- do names.append(side ~ "." ~ column.quoted) -%}
        {%- endfor -%}
        {%- do values.append("(" ~ names | join(", ") ~ ")") -%}
    {%- endfor -%}

    ANALYZE {{ fresh }};

    DELETE FROM {{ target }} AS held
    WHERE NOT EXISTS (
        SELECT FROM {{ fresh }} AS fresh
        WHERE {{ same_key | join(" AND ") }} AND {{ values | join(" IS NOT DISTINCT FROM ") }}
    );

    INSERT INTO {{ target }} ({{ columns }})
    SELECT {{ columns }}
    FROM {{ fresh }} AS fresh
    WHERE NOT EXISTS (SELECT FROM {{ target }} AS held WHERE {{ same_key | join(" AND ") }})
{% endmacro %}
