{# The columns together identify the rows and are never NULL; a condition, if given, holds in every row. #}
{% test key(model, columns, condition=none) %}
    SELECT {{ columns | join(", ") }}, count(*) AS rows
    FROM {{ model }}
    GROUP BY {{ columns | join(", ") }}
    HAVING count(*) > 1
        {% for column in columns %} OR {{ column }} IS NULL {% endfor %}
        {% if condition %} OR bool_or(NOT ({{ condition }})) {% endif %}
{% endtest %}
