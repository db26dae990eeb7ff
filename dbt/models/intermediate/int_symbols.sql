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
    splits.asked_at AS splits_asked_at,
    dividends.asked_at AS dividends_asked_at,
    symbols.asset_class = 'crypto' OR splits.asked_at IS NOT NULL AS splits_known,
    symbols.asset_class = 'crypto' OR dividends.asked_at IS NOT NULL AS dividends_known
FROM {{ ref("stg_tracked_symbols") }} AS symbols
LEFT JOIN {{ ref("stg_corporate_action_inquiries") }} AS splits
    ON splits.symbol = symbols.symbol AND splits.kind = 'splits'
LEFT JOIN {{ ref("stg_corporate_action_inquiries") }} AS dividends
    ON dividends.symbol = symbols.symbol AND dividends.kind = 'dividends'
