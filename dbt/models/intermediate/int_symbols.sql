{{ config(materialized="view") }}

SELECT
    symbols.symbol,
    symbols.asset_class,
    symbols.calendar,
    symbols.name,
    symbols.primary_exchange,
    symbols.active,
    symbols.listed,
    symbols.delisted_on,
    symbols.renamed_to,
    symbols.last_backfill AS last_loaded_at,
    states.splits_asked_at,
    states.dividends_asked_at,
    states.splits_known,
    states.dividends_known
FROM {{ ref("stg_tracked_symbols") }} AS symbols
JOIN {{ ref("stg_adjustment_states") }} AS states ON states.symbol = symbols.symbol
