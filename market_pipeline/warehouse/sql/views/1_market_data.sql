-- Bars for readers: the present ones, replaced ones, and those of an instant.
CREATE OR REPLACE VIEW market_data AS
SELECT
    named.symbol,
    bars.date,
    bars.date::timestamp AT TIME ZONE CASE named.calendar WHEN '24/7' THEN 'UTC' ELSE 'America/New_York' END AS time,
    bars.open,
    bars.high,
    bars.low,
    bars.close,
    bars.volume,
    bars.vwap,
    bars.transactions::bigint AS transactions,
    loads.source,
    flagged.flags IS NULL OR flagged.flags = '{}' AS validated,
    coalesce(flagged.quality_score, 1) AS quality_score,
    coalesce(flagged.flags, '{}') AS flags,
    flagged.validation_notes,
    coalesce(flagged.gap_detected, false) AS gap_detected,
    coalesce(flagged.volume_anomaly, false) AS volume_anomaly,
    loads.point AS fetched_at,
    loads.run_id,
    greatest(loads.point, flagging.point) AS updated_at
FROM bars
-- By LEFT JOIN count(*) and max(date) would read bars alone, twice as fast, but the first 1,000 rows in the order of symbol and date
-- would take all to be sorted, 450 ms of a million instead of 4.
JOIN symbol_identities AS named ON named.symbol_id = bars.symbol_id
LEFT JOIN loads ON loads.id = bars.load_id
LEFT JOIN bar_flags AS flagged ON flagged.symbol_id = bars.symbol_id AND flagged.date = bars.date
LEFT JOIN loads AS flagging ON flagging.id = flagged.load_id;

CREATE OR REPLACE FUNCTION refresh_listing(changed integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.market_listings AS listed
    SET first_session = seen.first_session, last_session = seen.last_session
    FROM (SELECT min(date) AS first_session, max(date) AS last_session FROM public.bars WHERE symbol_id = changed) AS seen
    WHERE listed.symbol_id = changed AND seen.first_session IS NOT NULL;
    DELETE FROM public.market_listings
    WHERE symbol_id = changed AND NOT EXISTS (SELECT FROM public.bars WHERE symbol_id = changed);
END;
$$;
COMMENT ON FUNCTION refresh_listing(integer) IS 'Makes the listing of a market''s symbol that of its bars.';

-- A correction by hand: rows of market_data can be inserted, updated and deleted by SQL, and earlier versions are kept as for
-- every load. What a bar's load says (source, run_id, fetched_at) is that of the transaction: its first row's, if it is inserted.
CREATE OR REPLACE FUNCTION write_market_data() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    written integer := (
        SELECT symbol_id FROM public.symbol_identities
        WHERE symbol = CASE TG_OP WHEN 'DELETE' THEN OLD.symbol ELSE NEW.symbol END
    );
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM public.bar_flags WHERE symbol_id = written AND date = OLD.date;
        DELETE FROM public.bars WHERE symbol_id = written AND date = OLD.date;
        PERFORM public.refresh_listing(written);
        RETURN OLD;
    END IF;
    IF written IS NULL THEN
        RAISE EXCEPTION USING
            MESSAGE = NEW.symbol || ' is not in tracked_symbols',
            HINT = 'Track it with `market-pipeline symbols add` first.';
    END IF;
    IF NEW.low > least(NEW.open, NEW.close) OR NEW.high < greatest(NEW.open, NEW.close) OR NEW.low > NEW.high
        OR NEW.low <= 0 OR NEW.volume < 0 OR NEW.transactions < 0
        OR 'Infinity' IN (NEW.high, NEW.volume, NEW.vwap) OR 'NaN' IN (NEW.open, NEW.high, NEW.low, NEW.close, NEW.volume)
    THEN
        RAISE EXCEPTION USING
            MESSAGE = 'the bar of ' || NEW.symbol || ' on ' || NEW.date || ' can''t be true', ERRCODE = 'check_violation',
            HINT = 'Its high and low must contain its open and close, prices be positive, and no count negative.';
    END IF;
    IF TG_OP = 'INSERT' AND NOT EXISTS (
        SELECT FROM public.sessions AS session
        JOIN public.symbol_identities AS named ON named.calendar = session.calendar
        WHERE named.symbol_id = written AND session.date = NEW.date
    ) THEN
        RAISE EXCEPTION USING
            MESSAGE = NEW.date || ' is no session of ' || NEW.symbol, ERRCODE = 'check_violation',
            HINT = 'The sessions are in the table sessions.';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.source <> (SELECT source FROM public.bar_source) THEN
            RAISE EXCEPTION USING
                MESSAGE = 'this database accepts no bars of ' || NEW.source, HINT = 'Use another database for them.';
        END IF;
        IF public.opened_load() IS NULL THEN
            PERFORM public.open_load(NEW.run_id, NEW.source);
        END IF;
        INSERT INTO public.bars (symbol_id, date, transactions, open, high, low, close, volume, vwap)
        VALUES (written, NEW.date, NEW.transactions, NEW.open, NEW.high, NEW.low, NEW.close, NEW.volume, NEW.vwap);
        PERFORM public.refresh_listing(written);
    ELSIF (OLD.symbol, OLD.date) <> (NEW.symbol, NEW.date) THEN
        RAISE EXCEPTION USING
            MESSAGE = 'a bar can''t become that of another symbol or date', HINT = 'Delete it and insert another one.';
    ELSE
        UPDATE public.bars
        SET transactions = NEW.transactions, open = NEW.open, high = NEW.high, low = NEW.low, close = NEW.close,
            volume = NEW.volume, vwap = NEW.vwap
        WHERE symbol_id = written AND date = NEW.date;
    END IF;
    INSERT INTO public.bar_flags AS held (
        symbol_id, date, quality_score, flags, validation_notes, gap_detected, volume_anomaly
    )
    SELECT
        written, NEW.date, coalesce(NEW.quality_score, 1), coalesce(NEW.flags, '{}'), NEW.validation_notes,
        coalesce(NEW.gap_detected, false), coalesce(NEW.volume_anomaly, false)
    WHERE NEW.flags <> '{}' OR EXISTS (SELECT FROM public.bar_flags WHERE symbol_id = written AND date = NEW.date)
    ON CONFLICT (symbol_id, date) DO UPDATE
    SET flags = excluded.flags,
        quality_score = excluded.quality_score,
        validation_notes = excluded.validation_notes,
        gap_detected = excluded.gap_detected,
        volume_anomaly = excluded.volume_anomaly;
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION write_market_data() IS 'Writes a row of market_data to the tables that it is made of.';
CREATE OR REPLACE TRIGGER market_data_written INSTEAD OF INSERT OR UPDATE OR DELETE ON market_data
    FOR EACH ROW EXECUTE FUNCTION write_market_data();

-- The flags of a replaced bar are those that it had last.
CREATE OR REPLACE VIEW market_data_revisions AS
SELECT
    bars.id,
    named.symbol,
    bars.date,
    bars.date::timestamp AT TIME ZONE CASE named.calendar WHEN '24/7' THEN 'UTC' ELSE 'America/New_York' END AS time,
    bars.open,
    bars.high,
    bars.low,
    bars.close,
    bars.volume,
    bars.vwap,
    bars.transactions::bigint AS transactions,
    loads.source,
    flagged.flags IS NULL OR flagged.flags = '{}' AS validated,
    coalesce(flagged.quality_score, 1) AS quality_score,
    coalesce(flagged.flags, '{}') AS flags,
    flagged.validation_notes,
    coalesce(flagged.gap_detected, false) AS gap_detected,
    coalesce(flagged.volume_anomaly, false) AS volume_anomaly,
    loads.point AS fetched_at,
    loads.run_id,
    replacing.point AS replaced_at,
    replacing.run_id AS replaced_by_run_id,
    bars.reason
FROM bars_revisions AS bars
JOIN symbol_identities AS named ON named.symbol_id = bars.symbol_id
LEFT JOIN loads ON loads.id = bars.load_id
LEFT JOIN loads AS replacing ON replacing.id = bars.replaced_by
LEFT JOIN LATERAL (
    SELECT flags, quality_score, validation_notes, gap_detected, volume_anomaly
    FROM (
        SELECT load_id, flags, quality_score, validation_notes, gap_detected, volume_anomaly
        FROM bar_flags AS f
        WHERE f.symbol_id = bars.symbol_id AND f.date = bars.date AND f.load_id < bars.replaced_by
        UNION ALL
        SELECT load_id, flags, quality_score, validation_notes, gap_detected, volume_anomaly
        FROM bar_flags_revisions AS f
        WHERE f.symbol_id = bars.symbol_id AND f.date = bars.date
            AND f.load_id < bars.replaced_by AND f.replaced_by >= bars.replaced_by
    ) AS versions
    ORDER BY load_id DESC
    LIMIT 1
) AS flagged ON true;

-- For each versioned table a function with the rows as they were at an instant, such as splits_as_of(instant).
DO $$
DECLARE
    versioned record;
BEGIN
    FOR versioned IN SELECT * FROM versioned_tables() LOOP
        EXECUTE 'CREATE OR REPLACE FUNCTION ' || versioned.name || '_as_of(instant timestamptz) RETURNS SETOF '
            || versioned.name || ' LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC SELECT ' || versioned.columns
            || ' FROM ' || versioned.name || ' AS v'
            || ' JOIN loads AS began ON began.id = v.load_id WHERE began.point <= (SELECT check_settled(instant))'
            || ' UNION ALL SELECT ' || versioned.columns || ' FROM ' || versioned.name || '_revisions AS v'
            || ' JOIN loads AS began ON began.id = v.load_id JOIN loads AS ended ON ended.id = v.replaced_by'
            || ' WHERE began.point <= (SELECT check_settled(instant)) AND ended.point > instant; END';
        EXECUTE 'COMMENT ON FUNCTION ' || versioned.name || '_as_of(timestamptz) IS '
            || quote_literal('The rows of ' || versioned.name || ' as they were at an instant, which has to be settled.');
    END LOOP;
END;
$$;

CREATE OR REPLACE FUNCTION market_data_as_of(instant timestamptz) RETURNS SETOF market_data
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        named.symbol,
        bars.date,
        bars.date::timestamp AT TIME ZONE CASE named.calendar WHEN '24/7' THEN 'UTC' ELSE 'America/New_York' END AS time,
        bars.open,
        bars.high,
        bars.low,
        bars.close,
        bars.volume,
        bars.vwap,
        bars.transactions::bigint AS transactions,
        loads.source,
        flagged.flags IS NULL OR flagged.flags = '{}' AS validated,
        coalesce(flagged.quality_score, 1) AS quality_score,
        coalesce(flagged.flags, '{}') AS flags,
        flagged.validation_notes,
        coalesce(flagged.gap_detected, false) AS gap_detected,
        coalesce(flagged.volume_anomaly, false) AS volume_anomaly,
        loads.point AS fetched_at,
        loads.run_id,
        greatest(loads.point, flagging.point)
    FROM symbol_identities_as_of(instant) AS named
    -- By symbol (LATERAL), so that an index finds the rows of one; of all symbols together it takes three times as long.
    CROSS JOIN LATERAL (
        SELECT v.date, v.load_id, v.transactions, v.open, v.high, v.low, v.close, v.volume, v.vwap
        FROM bars AS v
        JOIN loads AS began ON began.id = v.load_id
        WHERE v.symbol_id = named.symbol_id AND began.point <= (SELECT check_settled(instant))
        UNION ALL
        SELECT v.date, v.load_id, v.transactions, v.open, v.high, v.low, v.close, v.volume, v.vwap
        FROM bars_revisions AS v
        JOIN loads AS began ON began.id = v.load_id
        JOIN loads AS ended ON ended.id = v.replaced_by
        WHERE v.symbol_id = named.symbol_id AND began.point <= (SELECT check_settled(instant)) AND ended.point > instant
    ) AS bars
    LEFT JOIN LATERAL (
        SELECT v.date, v.load_id, v.quality_score, v.flags, v.validation_notes, v.gap_detected, v.volume_anomaly
        FROM bar_flags AS v
        JOIN loads AS began ON began.id = v.load_id
        WHERE v.symbol_id = named.symbol_id AND began.point <= (SELECT check_settled(instant))
        UNION ALL
        SELECT v.date, v.load_id, v.quality_score, v.flags, v.validation_notes, v.gap_detected, v.volume_anomaly
        FROM bar_flags_revisions AS v
        JOIN loads AS began ON began.id = v.load_id
        JOIN loads AS ended ON ended.id = v.replaced_by
        WHERE v.symbol_id = named.symbol_id AND began.point <= (SELECT check_settled(instant)) AND ended.point > instant
    ) AS flagged ON flagged.date = bars.date
    LEFT JOIN loads ON loads.id = bars.load_id
    LEFT JOIN loads AS flagging ON flagging.id = flagged.load_id;
END;

COMMENT ON FUNCTION market_data_as_of(timestamptz) IS
    'The rows of market_data as they were at an instant: select * from market_data_as_of(''2026-03-01 12:00+00''). Every '
    'column is as it was. The instant has to be settled: no later than settled_point().';
