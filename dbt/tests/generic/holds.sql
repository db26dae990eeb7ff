{# A condition holds in every row where its columns are known. #}
{% test holds(model, condition) %}
    SELECT * FROM {{ model }} WHERE NOT ({{ condition }})
{% endtest %}
