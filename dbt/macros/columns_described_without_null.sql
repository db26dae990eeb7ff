{#
    The columns of the tested model whose description doesn't mention NULL, and those of its key. Not in the test itself,
    to which `model` is the relation.
#}
{% macro columns_described_without_null(key) %}
    {%- set columns = [] -%}
    {%- if execute -%}
        {%- for column in graph.nodes[model.attached_node].columns.values() -%}
            {%- if column.name in key or "NULL" not in column.description -%}
                {%- do columns.append(adapter.quote(column.name)) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ columns | join(", ") }}
{%- endmacro %}
