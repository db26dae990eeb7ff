{{ config(
    materialized="incremental",
    unique_key=["asset_class", "date"],
    post_hook="{{ analyze() }}",
    indexes=[{"columns": ["date"]}],
) }}

WITH symbols AS (
    SELECT symbol, asset_class
    FROM {{ ref("stg_tracked_symbols") }}
    WHERE active
),

bars AS (
    SELECT symbols.asset_class, bars.date, count(*) AS loaded
    FROM {{ ref("stg_market_data") }} AS bars
    JOIN symbols ON symbols.symbol = bars.symbol
    GROUP BY symbols.asset_class, bars.date
),

-- A bar without flags has the quality score 1.
flagged_bars AS (
    SELECT
        symbols.asset_class,
        bars.date,
        count(*) AS flagged,
        count(*) FILTER (WHERE bars.gap_detected) AS gaps,
        count(*) FILTER (WHERE bars.volume_anomaly) AS volume_anomalies,
        sum(1 - bars.quality_score::numeric)::double precision AS lost_quality
    FROM {{ ref("stg_market_data") }} AS bars
    JOIN symbols ON symbols.symbol = bars.symbol
    WHERE NOT bars.validated
    GROUP BY symbols.asset_class, bars.date
),

without_bar AS (
    SELECT
        symbols.asset_class,
        missing.date,
        count(*) FILTER (WHERE missing.state = 'rejected') AS rejected,
        count(*) FILTER (WHERE missing.state = 'empty') AS empty,
        count(*) FILTER (WHERE missing.state = 'not_yet_available') AS not_yet_available,
        count(*) FILTER (WHERE missing.state = 'not_in_plan') AS not_in_plan,
        count(*) FILTER (WHERE missing.state = 'failed') AS failed,
        count(*) FILTER (WHERE missing.state = 'never_asked') AS never_asked,
        count(*) AS missing
    FROM {{ ref("int_missing_sessions") }} AS missing
    JOIN symbols ON symbols.symbol = missing.symbol
    GROUP BY symbols.asset_class, missing.date
),

revised AS (
    SELECT symbols.asset_class, revisions.date, count(DISTINCT revisions.symbol) AS revised
    FROM {{ ref("stg_market_data_revisions") }} AS revisions
    JOIN symbols ON symbols.symbol = revisions.symbol
    WHERE revisions.reason IS NULL  -- else the vendor has corrected nothing: the bar was another security's
    GROUP BY symbols.asset_class, revisions.date
)

SELECT
    asset_class,
    date,
    coalesce(bars.loaded, 0) + coalesce(without_bar.missing, 0) AS expected,
    coalesce(bars.loaded, 0) AS loaded,
    coalesce(without_bar.missing, 0) AS missing,
    coalesce(without_bar.rejected, 0) AS rejected,
    coalesce(without_bar.empty, 0) AS empty,
    coalesce(without_bar.not_yet_available, 0) AS not_yet_available,
    coalesce(without_bar.not_in_plan, 0) AS not_in_plan,
    coalesce(without_bar.failed, 0) AS failed,
    coalesce(without_bar.never_asked, 0) AS never_asked,
    coalesce(flagged_bars.flagged, 0) AS flagged,
    coalesce(flagged_bars.gaps, 0) AS gaps,
    coalesce(flagged_bars.volume_anomalies, 0) AS volume_anomalies,
    coalesce(revised.revised, 0) AS revised,
    1 - coalesce(flagged_bars.lost_quality, 0) / bars.loaded AS mean_quality_score,
    coalesce(bars.loaded, 0)::double precision / (coalesce(bars.loaded, 0) + coalesce(without_bar.missing, 0))
        AS completeness
FROM bars
FULL JOIN without_bar USING (asset_class, date)
LEFT JOIN flagged_bars USING (asset_class, date)
LEFT JOIN revised USING (asset_class, date)
