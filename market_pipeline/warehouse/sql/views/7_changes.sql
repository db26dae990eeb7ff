-- The feed of changes: rows that came, changed or went, in the order of points.
--
-- changed_keys finds the keys that loads have changed, and changes looks up the versions of each around the load's point.

-- For each versioned table a function with the versions that ended at an instant or were there from it on, and their times.
DO $$
DECLARE
    versioned record;
BEGIN
    FOR versioned IN SELECT * FROM versioned_tables() LOOP
        EXECUTE 'CREATE OR REPLACE FUNCTION ' || versioned.name || '_around(instant timestamptz) RETURNS TABLE ('
            || versioned.declared_columns || ', began timestamptz, ended timestamptz)'
            || ' LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC'
            || ' SELECT ' || versioned.columns || ', began.point, NULL::timestamptz FROM ' || versioned.name || ' AS v'
            || ' JOIN loads AS began ON began.id = v.load_id WHERE began.point <= instant'
            || ' UNION ALL SELECT ' || versioned.columns || ', began.point, ended.point FROM ' || versioned.name
            || '_revisions AS v'
            || ' JOIN loads AS began ON began.id = v.load_id JOIN loads AS ended ON ended.id = v.replaced_by'
            || ' WHERE began.point <= instant AND ended.point >= instant; END';
        EXECUTE 'COMMENT ON FUNCTION ' || versioned.name || '_around(timestamptz) IS '
            || quote_literal('The versions of rows of ' || versioned.name || ' just before an instant and from it on.');
    END LOOP;
END;
$$;

-- A page reads the loads that it needs and no more: first the rest of the load in which the page before ended, then one load,
-- and then sixteen times as many each time. Of each table no more keys are taken than the page has place for. The statement is
-- planned each time, as the best plan for one load of a million bars is the worst for a thousand loads of one.
CREATE OR REPLACE FUNCTION changed_keys(
    since timestamptz, after jsonb, most bigint, only_kinds text[], only_symbol text
) RETURNS TABLE (point timestamptz, kind text, number bigint, name text, day date, place jsonb)
LANGUAGE plpgsql STABLE SET jit = off SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    last_point timestamptz;
    last_load integer := 2147483647;
    points timestamptz[];
    load_ids integer[];
    size bigint := 1;
    taken bigint := 0;
    returned bigint;
    one_load text;
    some_loads text;
    ids bigint[];
    names text[];
    security_ids bigint[];
    known_kinds CONSTANT text[] := '{symbol, security, ticker, bar, split, dividend, factor}';
BEGIN
    IF since IS NULL THEN
        RAISE EXCEPTION USING
            MESSAGE = 'since is NULL', ERRCODE = 'null_value_not_allowed',
            HINT = 'Give the point up to which changes are known, or -infinity for all of them.';
    END IF;
    last_point := check_settled(since);
    IF only_kinds = '{}' OR NOT only_kinds <@ known_kinds THEN
        RAISE EXCEPTION USING
            MESSAGE = 'only_kinds ' || only_kinds::text || ' has a kind that there is not, or none', ERRCODE = 'invalid_parameter_value',
            HINT = 'Use kinds of ' || array_to_string(known_kinds, ', ') || '.';
    END IF;
    -- Keys of all tables have one form, (number, name, day), of which each uses some.
    WITH sources (rank, kind, versioned, number, name, day, is_of_symbol) AS (
        VALUES
        (1, 'symbol', 'symbol_identities', 'symbol_id', NULL, NULL, 'v.symbol_id = ANY ($10)'),
        (2, 'security', 'securities', 'id', NULL, NULL, 'v.id = ANY ($12)'),
        (3, 'ticker', 'security_tickers', 'id', NULL, NULL, 'v.security_id = ANY ($12)'),
        (4, 'bar', 'bars', 'symbol_id', NULL, 'date', 'v.symbol_id = ANY ($10)'),
        (4, 'bar', 'bar_flags', 'symbol_id', NULL, 'date', 'v.symbol_id = ANY ($10)'),
        (5, 'split', 'splits', NULL, 'symbol', 'execution_date', 'v.symbol = ANY ($11)'),
        (6, 'dividend', 'dividends', 'id', NULL, NULL, 'v.symbol = ANY ($11)'),
        (7, 'factor', 'adjustment_factors', NULL, 'symbol', 'from_date', 'v.symbol = ANY ($11)')
    ),
    keyed AS (
        SELECT
            *,
            concat_ws(', ', 'v.' || number, 'v.' || name || ' COLLATE "C"', 'v.' || day) AS key,
            concat_ws(', ', '$6' || left(number, 0), '$7' || left(name, 0), '$8' || left(day, 0)) AS last_key
        FROM sources
        WHERE only_kinds IS NULL OR kind = ANY (only_kinds)
    ),
    written AS (
        SELECT format(
            '(SELECT b.point, b.id, %1$s AS rank, %11$L AS kind, %2$s::bigint AS number, %3$s::text COLLATE "C" AS name, '
            '%4$s::date AS day FROM %%s AS b (point, id) JOIN %5$s AS v ON v.%6$s = b.id '
            'WHERE v.%6$s BETWEEN $3 AND $4 AND %7$s AND %8$s AND ($5 < %1$s OR $5 = %1$s AND (%9$s) > (%10$s)) '
            'ORDER BY b.point, b.id, %9$s LIMIT $9)',
            rank, coalesce('v.' || number, '0'), coalesce('v.' || name, ''''''), coalesce('v.' || day, '''0001-01-01'''),
            versioned || suffix, column_name, condition,
            CASE WHEN only_symbol IS NULL THEN 'true' ELSE is_of_symbol END, key, last_key, kind
        ) AS part
        FROM keyed
        CROSS JOIN (
            VALUES
            ('', 'load_id', 'true'), ('_revisions', 'load_id', 'v.replaced_by > $3'), ('_revisions', 'replaced_by', 'true')
        ) AS place (suffix, column_name, condition)
    )
    SELECT
        'SELECT point, kind, number, name, day, jsonb_build_array(id, rank, number, name, day) FROM ('
        || string_agg(part, ' UNION ') || ') AS changed ORDER BY point, id, rank, number, name, day LIMIT $9'
    INTO some_loads
    FROM written;
    one_load := replace(
        replace(some_loads, '%s', '(SELECT $1[1] AS point, $2[1] AS id)'), ' BETWEEN $3 AND $4 ', ' = $3 '
    );
    some_loads := replace(some_loads, '%s', 'unnest($1, $2)');
    IF only_symbol IS NOT NULL THEN
        ids := ARRAY(SELECT symbol_id FROM symbol_identities WHERE symbol = only_symbol);
        IF ids = '{}' THEN
            RAISE EXCEPTION USING
                MESSAGE = 'only_symbol ' || only_symbol || ' is no symbol here', ERRCODE = 'invalid_parameter_value',
                HINT = 'The names are in symbol_identities; they are case-sensitive.';
        END IF;
        SELECT array_agg(symbol), array_agg(security_id)
        INTO names, security_ids
        FROM (
            SELECT symbol_id, symbol, security_id FROM symbol_identities
            UNION ALL
            SELECT symbol_id, symbol, security_id FROM symbol_identities_revisions
        ) AS identity
        WHERE symbol_id = ANY (ids);
    END IF;
    WHILE most IS NULL OR taken < most LOOP
        IF after IS NOT NULL THEN
            SELECT ARRAY[point], ARRAY[id] INTO points, load_ids FROM loads WHERE id = (after ->> 0)::integer;
            IF load_ids IS NULL OR jsonb_array_length(after) <> 5 THEN
                RAISE EXCEPTION USING
                    MESSAGE = after::text || ' is no place in the feed of changes',
                    ERRCODE = 'invalid_parameter_value',
                    HINT = 'Use the column place of the last change that was read.';
            END IF;
        ELSE
            SELECT array_agg(point ORDER BY point, id), array_agg(id ORDER BY point, id)
            INTO points, load_ids
            FROM (
                SELECT point, id FROM loads
                WHERE point >= last_point AND (point, id) > (last_point, last_load)
                ORDER BY point, id
                LIMIT size
            ) AS batch;
            EXIT WHEN load_ids IS NULL;
            size := size * 16;
        END IF;
        RETURN QUERY EXECUTE CASE cardinality(load_ids) WHEN 1 THEN one_load ELSE some_loads END
        USING
            points, load_ids, (SELECT min(id) FROM unnest(load_ids) AS id), (SELECT max(id) FROM unnest(load_ids) AS id),
            coalesce((after ->> 1)::integer, 0), coalesce((after ->> 2)::bigint, 0), coalesce(after ->> 3, ''),
            coalesce((after ->> 4)::date, '0001-01-01'), most - taken, ids, names, security_ids;
        GET DIAGNOSTICS returned = ROW_COUNT;
        taken := taken + returned;
        last_point := points[cardinality(points)];
        last_load := load_ids[cardinality(load_ids)];
        after := NULL;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION changed_keys(timestamptz, jsonb, bigint, text[], text) IS
    'The keys of the rows that loads since an instant have changed, in the order of points. Read them by changes.';

CREATE OR REPLACE FUNCTION changes(
    since timestamptz DEFAULT '-infinity', after jsonb DEFAULT NULL, most bigint DEFAULT NULL, only_kinds text[] DEFAULT NULL,
    only_symbol text DEFAULT NULL
) RETURNS TABLE (point timestamptz, kind text, change text, key json, "values" json, place jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT
        changed.point,
        changed.kind,
        CASE WHEN state.remains AND state.was_there THEN 'changed' WHEN state.remains THEN 'came' ELSE 'went' END,
        CASE changed.kind
            WHEN 'symbol' THEN json_build_object('symbol_id', changed.number)
            WHEN 'bar' THEN json_build_object('symbol_id', changed.number, 'date', changed.day)
            WHEN 'split' THEN json_build_object('symbol', changed.name, 'execution_date', changed.day)
            WHEN 'factor' THEN json_build_object('symbol', changed.name, 'from_date', changed.day)
            ELSE json_build_object('id', changed.number)
        END,
        state.stored,
        changed.place
    FROM changed_keys(since, after, most, only_kinds, only_symbol) WITH ORDINALITY AS changed
    CROSS JOIN LATERAL (
        -- Of two versions, one ends and the other begins at the point.
        SELECT
            bool_or(version.began < changed.point) AS was_there,
            bool_or(version.ended IS NULL OR version.ended > changed.point) AS remains,
            (array_agg(version.stored ORDER BY version.began DESC))[1] AS stored
        FROM (
                SELECT v.began, v.ended, row_to_json(r) AS stored
                FROM bars_around(changed.point) AS v
                LEFT JOIN loads ON loads.id = v.load_id
                -- Where a clock was set back before loads had points, a bar may be older than its symbol.
                LEFT JOIN symbol_identities AS present ON present.symbol_id = v.symbol_id
                LEFT JOIN LATERAL (
                    SELECT i.symbol, i.calendar
                    FROM symbol_identities_around(changed.point) AS i
                    WHERE i.symbol_id = v.symbol_id
                    ORDER BY i.began DESC
                    LIMIT 1
                ) AS named ON true
                LEFT JOIN LATERAL (
                    SELECT f.flags, f.quality_score, f.validation_notes, f.gap_detected, f.volume_anomaly, f.began
                    FROM bar_flags_around(changed.point) AS f
                    WHERE f.symbol_id = v.symbol_id AND f.date = v.date
                        AND (f.ended IS NULL OR f.ended > changed.point OR v.ended = changed.point)
                    ORDER BY f.began DESC
                    LIMIT 1
                ) AS flagged ON true
                CROSS JOIN LATERAL (
                    SELECT
                        coalesce(named.symbol, present.symbol) AS symbol,
                        v.date,
                        v.date::timestamp AT TIME ZONE CASE coalesce(named.calendar, present.calendar)
                            WHEN '24/7' THEN 'UTC' ELSE 'America/New_York'
                        END AS time,
                        v.open,
                        v.high,
                        v.low,
                        v.close,
                        v.volume,
                        v.vwap,
                        v.transactions,
                        loads.source,
                        coalesce(flagged.flags, '{}') = '{}' AS validated,
                        coalesce(flagged.quality_score, 1) AS quality_score,
                        coalesce(flagged.flags, '{}') AS flags,
                        flagged.validation_notes,
                        coalesce(flagged.gap_detected, false) AS gap_detected,
                        coalesce(flagged.volume_anomaly, false) AS volume_anomaly,
                        loads.point AS fetched_at,
                        loads.run_id,
                        greatest(loads.point, flagged.began) AS updated_at
                ) AS r
                WHERE changed.kind = 'bar' AND v.symbol_id = changed.number::integer AND v.date = changed.day
                UNION ALL
                SELECT v.began, v.ended, row_to_json(r)
                FROM symbol_identities_around(changed.point) AS v
                CROSS JOIN LATERAL (SELECT v.symbol_id, v.symbol, v.asset_class, v.calendar, v.security_id) AS r
                WHERE changed.kind = 'symbol' AND v.symbol_id = changed.number::integer
                UNION ALL
                SELECT v.began, v.ended, row_to_json(r)
                FROM securities_around(changed.point) AS v
                CROSS JOIN LATERAL (SELECT v.id, v.name, v.type, v.composite_figi, v.share_class_figi, v.cik) AS r
                WHERE changed.kind = 'security' AND v.id = changed.number
                UNION ALL
                SELECT v.began, v.ended, row_to_json(r)
                FROM security_tickers_around(changed.point) AS v
                CROSS JOIN LATERAL (
                    SELECT v.id, v.security_id, v.ticker, v.first_day, v.last_day, v.source, v.certain, v.note, v.known_since
                ) AS r
                WHERE changed.kind = 'ticker' AND v.id = changed.number
                UNION ALL
                SELECT v.began, v.ended, row_to_json(r)
                FROM splits_around(changed.point) AS v
                CROSS JOIN LATERAL (
                    SELECT v.symbol, v.execution_date, v.split_from, v.split_to, v.vendor_id, v.source, v.fetched_at, v.run_id
                ) AS r
                WHERE changed.kind = 'split' AND v.symbol = changed.name AND v.execution_date = changed.day
                UNION ALL
                SELECT v.began, v.ended, row_to_json(r)
                FROM dividends_around(changed.point) AS v
                CROSS JOIN LATERAL (
                    SELECT
                        v.id, v.symbol, v.ex_dividend_date, v.cash_amount, v.currency, v.dividend_type, v.frequency,
                        v.declaration_date, v.record_date, v.pay_date, v.vendor_id, v.source, v.fetched_at, v.run_id
                ) AS r
                WHERE changed.kind = 'dividend' AND v.id = changed.number
                UNION ALL
                SELECT v.began, v.ended, row_to_json(r)
                FROM adjustment_factors_around(changed.point) AS v
                CROSS JOIN LATERAL (
                    SELECT v.symbol, v.from_date, v.to_date, v.split_factor, v.dividend_factor, v.unknown_because
                ) AS r
                WHERE changed.kind = 'factor' AND v.symbol = changed.name AND v.from_date = changed.day
        ) AS version
    ) AS state
    ORDER BY changed.ordinality;
END;
COMMENT ON FUNCTION changes(timestamptz, jsonb, bigint, text[], text) IS
    'Every row that came, changed or went since an instant, in the order of loads: select * from changes(''2026-03-01 12:00+00''). '
    'values are the row''s; of one that went, its last. The next changes are those since settled_point(). For a page: most => '
    '1000, and then after => the place of the last change. only_kinds: of symbol, security, ticker, bar, split, dividend, '
    'factor. only_symbol: those of one symbol.';
