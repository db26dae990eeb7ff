{{ config(
    materialized="incremental",
    unique_key=["calendar", "date"],
    post_hook="{{ analyze() }}",
    indexes=[{"columns": ["calendar", "week"]}, {"columns": ["calendar", "month"]}],
) }}

WITH labelled AS (
    SELECT
        calendar,
        date,
        date_trunc('week', date::timestamp)::date AS week,
        date_trunc('month', date::timestamp)::date AS month
    FROM {{ ref("stg_sessions") }}
)

SELECT
    calendar,
    date,
    (row_number() OVER (PARTITION BY calendar ORDER BY date))::integer AS number,
    week,
    min(date) OVER weeks AS week_first_session,
    max(date) OVER weeks AS week_last_session,
    (count(*) OVER weeks)::integer AS week_sessions,
    month,
    min(date) OVER months AS month_first_session,
    max(date) OVER months AS month_last_session,
    (count(*) OVER months)::integer AS month_sessions
FROM labelled
WINDOW
    weeks AS (PARTITION BY calendar, week),
    months AS (PARTITION BY calendar, month)
