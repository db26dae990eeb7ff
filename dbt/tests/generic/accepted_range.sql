{# A value lies between two bounds, either of which may be left out; NULL is allowed. #}
{% test accepted_range(model, column_name, min_value=none, max_value=none, inclusive=true) %}
    {%- set equal = "=" if inclusive else "" %}
    SELECT {{ column_name }}
    FROM {{ model }}
    WHERE false
        {% if min_value is not none %} OR NOT {{ column_name }} >{{ equal }} {{ min_value }} {% endif %}
        {% if max_value is not none %} OR NOT {{ column_name }} <{{ equal }} {{ max_value }} {% endif %}
{% endtest %}
