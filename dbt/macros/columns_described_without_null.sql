{#
    The columns of the tested model whose description doesn't mention NULL. Not in the test itself, to which
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
