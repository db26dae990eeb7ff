{# Before a build: make the tables that record it, note its start, and find the changes that a night's build looks at. #}
{% macro begin_build() %}
    DO $$
    BEGIN
        IF to_regclass('analytics_staging.complete_builds') IS NULL THEN
            CREATE SCHEMA IF NOT EXISTS analytics_staging;
            CREATE TABLE analytics_staging.complete_builds (
                invocation_id text PRIMARY KEY,
                project text NOT NULL,
                settled_at timestamp with time zone NOT NULL,
                is_complete boolean NOT NULL DEFAULT false
            );
            COMMENT ON TABLE analytics_staging.complete_builds IS 'The last complete build of the marts, and those under way.';
            COMMENT ON COLUMN analytics_staging.complete_builds.invocation_id IS 'dbt''s id of the build.';
            COMMENT ON COLUMN analytics_staging.complete_builds.project IS 'Hash of the dbt project that was built.';
            COMMENT ON COLUMN analytics_staging.complete_builds.settled_at IS
                'An instant at its start; the build has all changes before.';
            COMMENT ON COLUMN analytics_staging.complete_builds.is_complete IS
                'True once all models were built from all bars, and all their tests have passed.';
            CREATE TABLE {{ changed_bars() }} (symbol text, date date, PRIMARY KEY (symbol, date));
            COMMENT ON TABLE {{ changed_bars() }} IS
                'Bars that were added, corrected, flagged or removed since the last complete build, as of the last night''s.';
            COMMENT ON COLUMN {{ changed_bars() }}.symbol IS 'The symbol, as in tracked_symbols.';
            COMMENT ON COLUMN {{ changed_bars() }}.date IS 'The session.';
        END IF;
    END $$;
    {% if changes_only() %}
        DELETE FROM {{ changed_bars() }};
        INSERT INTO {{ changed_bars() }} (symbol, date)
        {{ select_changed_bars() }};
        ANALYZE {{ changed_bars() }};
    {% else %}
        INSERT INTO analytics_staging.complete_builds (invocation_id, project, settled_at)
        SELECT '{{ invocation_id }}', '{{ project_hash() }}', {{ settled_instant() }};
    {% endif %}
{% endmacro %}

{# After a build: record it if it was complete, and drop a model's table and an aggregate that former versions made. #}
{% macro end_build() %}
    {% if execute and not changes_only() and is_complete(results) %}
        UPDATE analytics_staging.complete_builds SET is_complete = true WHERE invocation_id = '{{ invocation_id }}';
        DELETE FROM analytics_staging.complete_builds
        WHERE settled_at < (SELECT settled_at FROM analytics_staging.complete_builds WHERE invocation_id = '{{ invocation_id }}');
    {% elif not changes_only() %}
        DELETE FROM analytics_staging.complete_builds WHERE invocation_id = '{{ invocation_id }}';
    {% endif %}
    -- A build of some models may leave one that still needs them.
    DO $$
    BEGIN
        DROP TABLE IF EXISTS analytics_staging.int_adjustment_factors;
        DROP AGGREGATE IF EXISTS analytics_staging.product(double precision);
    EXCEPTION WHEN dependent_objects_still_exist THEN
        NULL;
    END $$
{% endmacro %}

{# True if every model and data test of the project has succeeded. #}
{% macro is_complete(results) %}
    {%- set succeeded = [] -%}
    {%- for result in results if result.node.resource_type in ("model", "test") and result.status in ("success", "pass") -%}
        {%- do succeeded.append(result.node.unique_id) -%}
    {%- endfor -%}
    {%- set expected = graph.nodes.values() | selectattr("resource_type", "in", ["model", "test"]) | list -%}
    {{ return(succeeded | length == expected | length) }}
{% endmacro %}

{% macro project_hash() -%} {{ env_var("MARKET_PIPELINE_DBT_PROJECT", "") if execute }} {%- endmacro %}
