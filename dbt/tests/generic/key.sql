{# The columns together identify the rows and are never NULL. #}
{% test key(model, columns) %}
    SELECT {{ columns | join(", ") }}, count(*) AS rows
    FROM {{ model }}
    GROUP BY {{ columns | join(", ") }}
    HAVING count(*) > 1
        {% for column in columns %} OR {{ column }} IS NULL {% endfor %}
{% endtest %}
