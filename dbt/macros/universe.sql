{#
    The bars of the markets' symbols of which the table has no row, or that of an earlier load: symbol_id, date. At night
    among those of newer loads, and all bars of symbols that no session of a market had before.
#}
{% macro changed_universe() %}
    {% if changes_only() %}
    SELECT symbol_id, date
    FROM {{ ref("stg_bars") }} AS bars
    WHERE load_id >= (SELECT id FROM first) AND load_id IN (SELECT id FROM newer)
    UNION
    SELECT symbol_id, date FROM public.bars_revisions WHERE replaced_by IN (SELECT id FROM newer)
    UNION
    SELECT bars.symbol_id, bars.date
    FROM {{ ref("stg_market_listings") }} AS listed
    JOIN {{ ref("stg_bars") }} AS bars ON bars.symbol_id = listed.symbol_id
    WHERE NOT EXISTS (
        SELECT FROM {{ this }} AS held
        WHERE held.date = listed.first_session AND held.symbol_id = listed.symbol_id
    )
    {% else %}
    SELECT symbol_id, date
    FROM (
        SELECT bars.symbol_id, bars.date, bars.load_id
        FROM {{ ref("stg_bars") }} AS bars
        JOIN {{ ref("stg_market_listings") }} AS listed ON listed.symbol_id = bars.symbol_id
    ) AS bars
    FULL JOIN {{ this }} AS held USING (symbol_id, date)
    WHERE bars.load_id IS DISTINCT FROM held.load_id
    {% endif %}
{% endmacro %}

{# Deletes the rows of removed bars, which delete+insert leaves. #}
{% macro delete_universe_without_bar() %}
    {% if is_incremental() %}
    {% if changes_only() %}
    WITH {{ newer_loads() }}
    DELETE FROM {{ this }} AS held
    USING public.bars_revisions AS removed
    WHERE removed.replaced_by IN (SELECT id FROM newer)
        AND held.symbol_id = removed.symbol_id AND held.date = removed.date
    {% else %}
    DELETE FROM {{ this }} AS held
    WHERE true
    {% endif %}
        AND NOT EXISTS (
            SELECT FROM {{ source("warehouse", "bars") }} AS bars
            WHERE bars.symbol_id = held.symbol_id AND bars.date = held.date
        )
    {% endif %}
{% endmacro %}
