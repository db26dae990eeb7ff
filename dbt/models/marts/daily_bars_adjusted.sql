SELECT * FROM {{ ref("stg_daily_bars_adjusted") }}
