{{ config(tags=["nightly"], meta={"dagster": {"ref": {"name": "daily_returns"}}}) }}

-- daily_returns has each bar of market_data with its close, and no other, but for bars that came while dbt was running.
SELECT symbol, date
FROM (SELECT * FROM {{ ref("stg_market_data") }} WHERE {{ of_changed_bars("date") }}) AS bars
FULL JOIN (SELECT * FROM {{ ref("daily_returns") }} WHERE {{ of_changed_bars("date") }}) AS returns USING (symbol, date)
WHERE bars.close IS DISTINCT FROM returns.close
    AND coalesce(bars.updated_at < '{{ run_started_at }}', true)
