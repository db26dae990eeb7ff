-- Loads, the order of their commits, and the versions of what they change.
--
-- A transaction that changes a versioned table belongs to a load, which is opened by hand (open_load) or at the first change
-- (current_load). As its last act it takes the next point, under a lock on the one row of `settled` that is released once it
-- is visible: so points have the order of commits, and whoever sees a load sees all before it. A clock that is set back delays
-- no point: the next is at least a microsecond later than the last.
CREATE OR REPLACE FUNCTION open_load(run_id text, source text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    opened integer;
BEGIN
    INSERT INTO public.loads (run_id, source)
    VALUES (open_load.run_id, coalesce(open_load.source, (SELECT b.source FROM public.bar_source AS b)))
    RETURNING id INTO opened;
    PERFORM set_config('market_pipeline.load', opened::text, true);
    RETURN opened;
END;
$$;
COMMENT ON FUNCTION open_load(text, text) IS
    'Opens a load for the changes of this transaction, and returns its id. Without a source it has that of the database. Hold the '
    'locks of the symbols concerned before: a symbol''s loads have the order of their ids.';

CREATE OR REPLACE FUNCTION opened_load() RETURNS integer
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT nullif(current_setting('market_pipeline.load', true), '')::integer;
END;
COMMENT ON FUNCTION opened_load() IS 'The load of this transaction; NULL if none is open.';

CREATE OR REPLACE FUNCTION current_load() RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    opened integer := public.opened_load();
BEGIN
    IF opened IS NULL THEN
        opened := public.open_load('manual', NULL);
    END IF;
    RETURN opened;
END;
$$;
COMMENT ON FUNCTION current_load() IS
    'The load of this transaction; opens one if need be, whose run is "manual" and whose source is that of the database.';

-- The database's clock, in one place, so that a test can set it.
CREATE OR REPLACE FUNCTION database_clock() RETURNS timestamptz
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT clock_timestamp();
END;

CREATE OR REPLACE FUNCTION take_point() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    taken timestamptz;
BEGIN
    INSERT INTO public.settled AS held (point)
    VALUES (public.database_clock())
    ON CONFLICT (only_row) DO UPDATE
    SET point = greatest(excluded.point, held.point + interval '1 microsecond')
    RETURNING point INTO taken;
    UPDATE public.loads SET point = taken WHERE id = NEW.id;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION take_point() IS 'Gives a load the next point, at the very end of its transaction.';

CREATE OR REPLACE FUNCTION keep_identity() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM public.bars WHERE symbol_id = OLD.id) THEN
            RAISE EXCEPTION USING
                MESSAGE = OLD.symbol || ' has bars, which would be nobody''s', ERRCODE = 'foreign_key_violation',
                HINT = 'Stop loading it with `market-pipeline symbols remove ' || OLD.symbol || '`: its bars stay.';
        END IF;
        DELETE FROM public.symbol_identities WHERE symbol_id = OLD.id;
        RETURN NULL;
    END IF;
    -- A tracked symbol's name stays; one that isn't tracked gives way.
    UPDATE public.symbol_identities SET symbol = symbol || '-US' WHERE symbol = NEW.symbol AND symbol_id <> NEW.id;
    INSERT INTO public.symbol_identities AS held (symbol_id, symbol, asset_class, calendar, security_id)
    VALUES (NEW.id, NEW.symbol, NEW.asset_class, NEW.calendar, NEW.security_id)
    ON CONFLICT (symbol_id) DO UPDATE
    SET symbol = excluded.symbol,
        asset_class = excluded.asset_class,
        calendar = excluded.calendar,
        security_id = excluded.security_id
    WHERE (held.symbol, held.asset_class, held.calendar, held.security_id)
        IS DISTINCT FROM (excluded.symbol, excluded.asset_class, excluded.calendar, excluded.security_id);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION keep_identity() IS 'Keeps the identities of tracked_symbols equal to them.';

CREATE OR REPLACE FUNCTION settled_point() RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT point FROM settled;
END;
COMMENT ON FUNCTION settled_point() IS
    'The newest settled point: what is stored as of it, or as of an earlier instant, never changes. What is stored now is what '
    'is stored as of it.';

CREATE OR REPLACE FUNCTION check_settled(instant timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    IF instant IS NULL THEN
        RAISE EXCEPTION USING
            MESSAGE = 'the instant is NULL', ERRCODE = 'null_value_not_allowed',
            HINT = 'Use settled_point() for the present. The names of snapshots are in the table snapshots.';
    END IF;
    IF instant > public.settled_point() THEN
        RAISE EXCEPTION USING
            MESSAGE = instant || ' is not settled: the newest settled point is ' || public.settled_point(),
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Use settled_point(). The owner of the tables can settle the present first, by settle().';
    END IF;
    RETURN instant;
END;
$$;
COMMENT ON FUNCTION check_settled(timestamptz) IS 'Returns the instant, or raises an error if it is NULL or not settled.';

CREATE OR REPLACE FUNCTION settle(instant timestamptz DEFAULT 'infinity') RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    reached timestamptz;
BEGIN
    IF instant <= public.settled_point() THEN
        RETURN instant;
    END IF;
    UPDATE public.settled
    SET point = greatest(point, least(instant, public.database_clock()))
    RETURNING point INTO reached;
    RETURN least(instant, reached);
END;
$$;
COMMENT ON FUNCTION settle(timestamptz) IS
    'Settles an instant up to the present, and returns it, or the present if it is later: all loads to come get later points. '
    'Waits up to five seconds for loads that are being committed. Loads wait for the transaction that calls it, so end that at '
    'once.';
-- An analyst's open transaction would hold up loads.
REVOKE EXECUTE ON FUNCTION settle(timestamptz) FROM public;

CREATE OR REPLACE FUNCTION versioned_tables() RETURNS TABLE (name text, columns text, declared_columns text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT
        relname::text,
        string_agg('v.' || quote_ident(attname), ', ' ORDER BY attnum),
        string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
    FROM pg_class
    JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        AND to_regclass(quote_ident(relname || '_revisions')) IS NOT NULL
    GROUP BY relname;
END;
COMMENT ON FUNCTION versioned_tables() IS
    'Each table beside which its earlier versions are kept, with its columns for a SELECT from it AS v, and with their types.';

-- keep_version names the columns: one that a migration has added is the last of its table, and of the table of earlier
-- versions, where `replaced_by` comes before it.
DO $$
DECLARE
    versioned record;
    branches text := '';
BEGIN
    FOR versioned IN SELECT * FROM versioned_tables() LOOP
        branches := branches || ' WHEN ' || quote_literal(versioned.name) || ' THEN INSERT INTO public.' || versioned.name
            || '_revisions (' || replace(versioned.columns, 'v.', '') || ', replaced_by) VALUES ('
            || replace(versioned.columns, 'v.', 'OLD.') || ', replacing);';
    END LOOP;
    EXECUTE 'CREATE OR REPLACE FUNCTION keep_version() RETURNS trigger LANGUAGE plpgsql AS '
        || quote_literal(
            'DECLARE replacing integer := public.current_load(); '
            'BEGIN '
            'IF OLD.load_id <> replacing THEN '  -- else nobody else has ever seen the version
            'CASE TG_TABLE_NAME' || branches || ' END CASE; '
            'END IF; '
            'IF TG_OP = ''DELETE'' THEN RETURN OLD; END IF; '
            'NEW.load_id := replacing; '
            'RETURN NEW; '
            'END;'
        );
END;
$$;
COMMENT ON FUNCTION keep_version() IS 'Keeps a row''s version before it is replaced or deleted.';
