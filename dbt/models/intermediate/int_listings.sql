{{ config(
    materialized="incremental",
    unique_key=["symbol_id"],
    post_hook="{{ analyze() }}",
) }}

SELECT
    named.symbol_id,
    listed.market,
    listed.symbol,
    listed.security_id,
    listed.name,
    listed.type,
    listed.primary_exchange,
    listed.first_session,
    listed.last_session
FROM {{ ref("stg_listings") }} AS listed
JOIN {{ ref("stg_symbol_identities") }} AS named ON named.symbol = listed.symbol
