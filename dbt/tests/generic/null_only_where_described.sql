{# A column has NULLs only if its description mentions NULL. #}
{% test null_only_where_described(model) %}
    SELECT *
    FROM {{ model }}
    WHERE num_nulls({{ columns_described_without_null() }}) > 0
{% endtest %}
