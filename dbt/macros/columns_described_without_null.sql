{#
    The columns whose description says nothing of NULL, of the model that a test is of. Not in the test itself, to which
    `model` is the relation.
#}
{% macro columns_described_without_null() %}
    {%- set columns = [] -%}
    {%- if execute -%}
        {%- for column in graph.nodes[model.attached_node].columns.values() if "NULL" not in column.description -%}
            {%- do columns.append(adapter.quote(column.name)) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ columns | join(", ") }}
{%- endmacro %}
