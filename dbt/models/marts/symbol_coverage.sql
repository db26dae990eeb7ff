{{ config(
    materialized="incremental",
    unique_key=["symbol"],
    post_hook="ANALYZE {{ this }}",
) }}

SELECT
    coverage.symbol,
    coverage.asset_class,
    coverage.calendar,
    symbols.name,
    symbols.listed,
    symbols.delisted_on,
    coverage.first_session,
    coverage.last_session,
    coverage.sessions AS expected,
    coverage.loaded,
    coverage.missing,
    coverage.rejected,
    coverage.empty,
    coverage.not_yet_available,
    coverage.not_in_plan,
    coverage.failed,
    coverage.never_asked,
    coverage.flagged,
    coverage.behind,
    coverage.last_loaded_at,
    symbols.splits_asked_at,
    symbols.dividends_asked_at,
    coverage.last_error,
    coverage.fetchable,
    coverage.health,
    coverage.health_reason
FROM {{ ref("stg_coverage") }} AS coverage
JOIN {{ ref("int_symbols") }} AS symbols ON symbols.symbol = coverage.symbol
