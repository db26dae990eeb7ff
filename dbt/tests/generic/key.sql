{# The columns together tell the rows apart and are never missing; and in every row a condition holds, where given. #}
{% test key(model, columns, condition=none) %}
    SELECT {{ columns | join(", ") }}, count(*) AS rows
    FROM {{ model }}
    GROUP BY {{ columns | join(", ") }}
    HAVING count(*) > 1
        {% for column in columns %} OR {{ column }} IS NULL {% endfor %}
        {% if condition %} OR bool_or(NOT ({{ condition }})) {% endif %}
{% endtest %}
