SELECT
    calendar,
    date
FROM {{ source('warehouse', 'sessions') }}
