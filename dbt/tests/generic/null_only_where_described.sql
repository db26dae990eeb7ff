{# A column is NULL only where its description says when: what describes no NULL has none. #}
{% test null_only_where_described(model) %}
    SELECT *
    FROM {{ model }}
    WHERE num_nulls({{ columns_described_without_null() }}) > 0
{% endtest %}
