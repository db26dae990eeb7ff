-- Converts the bars of one symbol, with their flags and earlier versions, in place of what an earlier call converted.
--
-- A version's place in time was two instants, which a clock set back could put in the wrong order. Here the versions of a bar
-- follow each other: one that began no earlier than its successor begins a microsecond before it.
CREATE OR REPLACE FUNCTION convert_bars(converted_symbol text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    converted_id integer := (SELECT id FROM tracked_symbols WHERE symbol = converted_symbol);
    converted bigint;
BEGIN
    DELETE FROM bars WHERE symbol_id = converted_id;
    DELETE FROM bar_flags WHERE symbol_id = converted_id;
    DELETE FROM bars_revisions WHERE symbol_id = converted_id;
    DELETE FROM bar_flags_revisions WHERE symbol_id = converted_id;
    WITH numbered AS (
        SELECT *, row_number() OVER (PARTITION BY date ORDER BY id NULLS LAST) AS number
        FROM (
            SELECT
                id, date, time, open, high, low, close, volume, vwap, transactions, source, run_id, fetched_at,
                fetched_at AS updated_at, validated, quality_score, flags, validation_notes, gap_detected,
                volume_anomaly, replaced_at, replaced_by_run_id, reason
            FROM market_data_revisions
            WHERE symbol = converted_symbol
            UNION ALL
            SELECT
                NULL, date, time, open, high, low, close, volume, vwap, transactions, source, run_id, fetched_at,
                updated_at, validated, quality_score, flags, validation_notes, gap_detected,
                volume_anomaly, NULL, NULL, NULL
            FROM market_data
            WHERE symbol = converted_symbol
        ) AS stored
    ),
    begun AS (
        SELECT
            *,
            min(fetched_at - number * interval '1 microsecond') OVER (
                PARTITION BY date ORDER BY number ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
            ) + number * interval '1 microsecond' AS began
        FROM numbered
    ),
    followed AS (
        SELECT
            *,
            lead(began) OVER following AS next_began,
            lead(run_id) OVER following AS next_run_id,
            lead(source) OVER following AS next_source
        FROM begun
        WINDOW following AS (PARTITION BY date ORDER BY number)
    ),
    ended AS (
        SELECT
            *,
            CASE
                WHEN id IS NOT NULL
                    THEN greatest(least(replaced_at, next_began), began + interval '1 microsecond')
            END AS ended
        FROM followed
    ),
    versions AS MATERIALIZED (
        SELECT
            *,
            id IS NOT NULL AND ended = next_began AS is_followed,
            flags <> '{}' OR id IS NULL AND updated_at > began AS has_flags
        FROM ended
    ),
    changes AS (
        SELECT began AS point, run_id, source FROM versions
        UNION
        SELECT ended, replaced_by_run_id, NULL FROM versions WHERE id IS NOT NULL AND NOT is_followed
        UNION
        SELECT updated_at, NULL, NULL FROM versions WHERE id IS NULL AND updated_at > began
    ),
    made AS (
        INSERT INTO loads (point, run_id, source)
        SELECT point, run_id, source FROM changes ORDER BY point
        RETURNING id, point, run_id, source
    ),
    placed AS MATERIALIZED (
        SELECT
            versions.*,
            began_by.id AS load_id,
            ended_by.id AS replaced_by,
            coalesce(flagged_by.id, began_by.id) AS flagged_by
        FROM versions
        JOIN made AS began_by
            ON began_by.point = versions.began AND began_by.run_id = versions.run_id AND began_by.source = versions.source
        LEFT JOIN made AS ended_by
            ON ended_by.point = versions.ended
            AND ended_by.run_id = CASE WHEN is_followed THEN versions.next_run_id ELSE versions.replaced_by_run_id END
            AND ended_by.source IS NOT DISTINCT FROM CASE WHEN is_followed THEN versions.next_source END
        LEFT JOIN made AS flagged_by
            ON flagged_by.point = versions.updated_at
            AND versions.id IS NULL AND versions.updated_at > versions.began
            AND flagged_by.run_id IS NULL AND flagged_by.source IS NULL
    ),
    present AS (
        INSERT INTO bars (symbol_id, date, load_id, transactions, open, high, low, close, volume, vwap)
        SELECT converted_id, date, load_id, transactions, open, high, low, close, volume, vwap
        FROM placed
        WHERE id IS NULL
        ORDER BY date
        RETURNING 1
    ),
    present_flags AS (
        INSERT INTO bar_flags (
            symbol_id, date, load_id, quality_score, flags, validation_notes, gap_detected, volume_anomaly
        )
        SELECT converted_id, date, flagged_by, quality_score, flags, validation_notes, gap_detected, volume_anomaly
        FROM placed
        WHERE id IS NULL AND has_flags
    ),
    replaced AS (
        INSERT INTO bars_revisions (
            symbol_id, date, load_id, transactions, open, high, low, close, volume, vwap, replaced_by, id, reason
        )
        SELECT
            converted_id, date, load_id, transactions, open, high, low, close, volume, vwap, replaced_by, id, reason
        FROM placed
        WHERE id IS NOT NULL
    ),
    replaced_flags AS (
        INSERT INTO bar_flags_revisions (
            symbol_id, date, load_id, quality_score, flags, validation_notes, gap_detected, volume_anomaly, replaced_by
        )
        SELECT
            converted_id, date, load_id, quality_score, flags, validation_notes, gap_detected, volume_anomaly,
            replaced_by
        FROM placed
        WHERE id IS NOT NULL AND has_flags
    )
    SELECT count(*) INTO converted FROM present;
    INSERT INTO converted_symbols (symbol, bars, revisions, newest)
    SELECT
        converted_symbol,
        (SELECT count(*) FROM market_data WHERE symbol = converted_symbol),
        (SELECT count(*) FROM market_data_revisions WHERE symbol = converted_symbol),
        (SELECT max(updated_at) FROM market_data WHERE symbol = converted_symbol)
    ON CONFLICT (symbol) DO UPDATE
    SET bars = excluded.bars, revisions = excluded.revisions, newest = excluded.newest;
    RETURN converted;
END;
$$;
