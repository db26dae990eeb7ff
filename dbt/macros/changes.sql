{#
    A night's build looks at what has changed: at the bars that were added, corrected, flagged or removed since the last
    complete build, which looked at everything. Each night looks at all changes since that build, not since the night
    before, so that nothing is overlooked because one night failed. market_pipeline/dbt_project.py sets the scope.
#}
{% macro changes_only() -%}
    {{ return(execute and env_var("MARKET_PIPELINE_DBT_SCOPE", "everything") == "changes") }}
{%- endmacro %}

{# The table of these bars, made anew at the start of each night's build: symbol, date. #}
{% macro changed_bars() -%} analytics_staging.changed_bars {%- endmacro %}

{# A condition on the column that names a row's session, week or month: it has a changed bar, in whatever symbol. #}
{% macro of_changed_bars(column) -%}
    {%- if changes_only() -%}
        {%- set period = "date" if column == "date" else "date_trunc('" ~ column ~ "', date::timestamp)::date" -%}
        {{ column }} = ANY (ARRAY(SELECT DISTINCT {{ period }} FROM {{ changed_bars() }}))
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{# The rows that a test looks at: at night only those of changed bars, if the test names the column with their period. #}
{% macro postgres__get_where_subquery(relation) -%}
    {%- set period = (config.get("meta") or {}).get("period") -%}
    {%- if period and changes_only() -%}
        {{ return("(SELECT * FROM " ~ relation ~ " WHERE " ~ of_changed_bars(period) ~ ") AS dbt_subquery") }}
    {%- endif -%}
    {{ return(dbt.default__get_where_subquery(relation)) }}
{%- endmacro %}

{# The loads whose changes a night's build looks at, and the first of them, by which the index of blocks finds their bars. #}
{% macro newer_loads() %}
    newer AS MATERIALIZED (
        SELECT id FROM public.loads
        WHERE loads.point
            > coalesce((SELECT max(settled_at) FROM analytics_staging.complete_builds WHERE is_complete), '-infinity')
    ),
    first AS MATERIALIZED (
        SELECT min(id) AS id FROM newer
    )
{% endmacro %}

{#
    The bars that newer loads have added, corrected, flagged or removed, and all bars of symbols that they have
    renamed, under both names.
#}
{% macro select_changed_bars() %}
    WITH
    {{ newer_loads() }},
    tracked AS MATERIALIZED (  -- the models have none of the others that a market's sessions bring
        SELECT id, symbol FROM public.tracked_symbols
    ),
    changed AS (
        SELECT symbol_id, date FROM public.bars
        WHERE load_id >= (SELECT id FROM first) AND load_id IN (SELECT id FROM newer) AND symbol_id IN (SELECT id FROM tracked)
        UNION
        SELECT symbol_id, date FROM public.bar_flags
        WHERE load_id IN (SELECT id FROM newer) AND symbol_id IN (SELECT id FROM tracked)
        UNION
        SELECT symbol_id, date FROM public.bars_revisions
        WHERE replaced_by IN (SELECT id FROM newer) AND symbol_id IN (SELECT id FROM tracked)
        UNION
        SELECT symbol_id, date FROM public.bar_flags_revisions
        WHERE replaced_by IN (SELECT id FROM newer) AND symbol_id IN (SELECT id FROM tracked)
    ),
    renamed AS (
        SELECT former.symbol AS former, present.symbol AS present
        FROM public.symbol_identities_revisions AS former
        LEFT JOIN public.symbol_identities AS present USING (symbol_id)
        WHERE former.replaced_by IN (SELECT id FROM newer) AND former.symbol_id IN (SELECT id FROM tracked)
            AND (former.symbol, former.asset_class, former.calendar)
                IS DISTINCT FROM (present.symbol, present.asset_class, present.calendar)
    ),
    names AS (
        SELECT former AS symbol FROM renamed UNION SELECT present FROM renamed WHERE present IS NOT NULL
    )
    SELECT tracked.symbol, changed.date FROM changed JOIN tracked ON tracked.id = changed.symbol_id
    UNION
    SELECT symbol, date FROM names JOIN public.market_data USING (symbol)
    UNION
    SELECT symbol, date FROM names JOIN analytics.daily_returns USING (symbol)
{% endmacro %}

{# The newest settled point: whoever sees it sees all loads up to it, and those to come have later ones. #}
{% macro settled_instant() %}
    coalesce(public.settled_point(), '-infinity')
{% endmacro %}
