{#
    A view is replaced in place. dbt's own way, to make another and drop the old one, takes the views that others have
    built on it with it, and leaves no marts at all where a test fails before they are made again. Only where columns
    are gone, renamed or of another type, PostgreSQL leaves no choice.
#}
{% materialization view, adapter="postgres" %}
    {%- set held = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type="view") -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% if held is not none and not held.is_view %}
        {% do adapter.drop_relation(held) %}
    {% endif %}
    {% set replacement = get_replace_view_sql(target, sql) %}
    {% call statement("main") -%}
        DO $replace$
        BEGIN
            {{ replacement }}
        EXCEPTION WHEN invalid_table_definition THEN
            DROP VIEW {{ target }} CASCADE;
            {{ replacement }}
        END $replace$
    {%- endcall %}

    {% do apply_grants(target, config.get("grants"), should_revoke=should_revoke(held, full_refresh_mode=False)) %}
    {% do persist_docs(target, model) %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}
