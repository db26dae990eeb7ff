-- Converts what is left, gives every versioned row its load, and puts views in the place of the two tables of before. Views
-- that others have built on these are kept: they are made anew on top of the new ones, with their owners, rights and comments.
LOCK TABLE market_data, market_data_revisions, tracked_symbols IN ACCESS EXCLUSIVE MODE;

-- A row whose symbol was deleted by hand would be lost.
INSERT INTO tracked_symbols (symbol, asset_class, vendor_ticker, calendar, active)
SELECT DISTINCT symbol, 'stock', symbol, 'XNYS', false
FROM (SELECT symbol FROM market_data UNION SELECT symbol FROM market_data_revisions) AS stored
WHERE symbol NOT IN (SELECT symbol FROM tracked_symbols);

DO $$
DECLARE
    changed text;
BEGIN
    FOR changed IN
        WITH bars_now AS (
            SELECT symbol, count(*) AS bars, max(updated_at) AS newest FROM market_data GROUP BY symbol
        ),
        revisions_now AS (SELECT symbol, count(*) AS revisions FROM market_data_revisions GROUP BY symbol)
        SELECT symbol
        FROM bars_now
        FULL JOIN revisions_now USING (symbol)
        LEFT JOIN converted_symbols AS converted USING (symbol)
        WHERE (converted.bars, converted.revisions, converted.newest)
            IS DISTINCT FROM (coalesce(bars_now.bars, 0), coalesce(revisions_now.revisions, 0), bars_now.newest)
        UNION
        SELECT symbol FROM converted_symbols
        WHERE symbol NOT IN (SELECT symbol FROM market_data UNION SELECT symbol FROM market_data_revisions)
        ORDER BY symbol
    LOOP
        PERFORM convert_bars(changed);
    END LOOP;
END;
$$;
SELECT setval(
    pg_get_serial_sequence('bars_revisions', 'id'), pg_sequence_last_value(pg_get_serial_sequence('market_data_revisions', 'id'))
);

ALTER TABLE securities ADD COLUMN load_id integer;
ALTER TABLE security_tickers ADD COLUMN load_id integer;
ALTER TABLE splits ADD COLUMN load_id integer;
ALTER TABLE dividends ADD COLUMN load_id integer;
ALTER TABLE adjustment_factors ADD COLUMN load_id integer;

-- Identities are as old as the symbol or its first bar.
WITH known AS (
    SELECT
        tracked.*,
        nextval(pg_get_serial_sequence('loads', 'id'))::integer AS load_id,
        least(
            tracked.date_added,
            (SELECT min(fetched_at) FROM market_data AS m WHERE m.symbol = tracked.symbol),
            (SELECT min(fetched_at) FROM market_data_revisions AS r WHERE r.symbol = tracked.symbol)
        ) AS since
    FROM tracked_symbols AS tracked
),
made AS (
    INSERT INTO loads (id, point) SELECT load_id, since FROM known
),
master AS (
    UPDATE securities SET load_id = known.load_id FROM known WHERE known.security_id = securities.id
),
tickers AS (
    UPDATE security_tickers SET load_id = known.load_id FROM known WHERE known.security_id = security_tickers.security_id
)
INSERT INTO symbol_identities (symbol_id, symbol, asset_class, calendar, security_id, load_id)
SELECT id, symbol, asset_class, calendar, security_id, load_id FROM known;

WITH listed AS (
    SELECT fetched_at, run_id, source FROM splits UNION SELECT fetched_at, run_id, source FROM dividends
),
made AS (
    INSERT INTO loads (point, run_id, source) SELECT fetched_at, run_id, source FROM listed ORDER BY 1
    RETURNING id, point, run_id, source
),
of_splits AS (
    UPDATE splits SET load_id = made.id FROM made
    WHERE (made.point, made.run_id, made.source) = (splits.fetched_at, splits.run_id, splits.source)
)
UPDATE dividends SET load_id = made.id FROM made
WHERE (made.point, made.run_id, made.source) = (dividends.fetched_at, dividends.run_id, dividends.source);

-- Of the rest no earlier version was ever kept: it is there from now on.
INSERT INTO loads (point) SELECT greatest(clock_timestamp(), max(point) + interval '1 microsecond') FROM loads;
INSERT INTO settled (point) SELECT max(point) FROM loads;
UPDATE adjustment_factors SET load_id = (SELECT max(id) FROM loads);
UPDATE securities SET load_id = (SELECT max(id) FROM loads) WHERE load_id IS NULL;
UPDATE security_tickers SET load_id = (SELECT max(id) FROM loads) WHERE load_id IS NULL;
UPDATE splits SET load_id = (SELECT max(id) FROM loads) WHERE load_id IS NULL;
UPDATE dividends SET load_id = (SELECT max(id) FROM loads) WHERE load_id IS NULL;

-- What rests on the two tables, from the nearest to the farthest.
CREATE TEMPORARY TABLE dependent_views ON COMMIT DROP AS
WITH RECURSIVE replaced AS (
    SELECT 'pg_class'::regclass AS catalog, oid FROM pg_class
    WHERE oid IN ('market_data'::regclass, 'market_data_revisions'::regclass)
    UNION
    SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE oid = to_regprocedure('market_data_as_of(timestamptz)')
),
dependent AS (
    SELECT catalog, oid, 0 AS depth FROM replaced
    UNION
    SELECT 'pg_class'::regclass, rule.ev_class, dependent.depth + 1
    FROM dependent
    JOIN pg_depend AS link
        ON link.refclassid = dependent.catalog AND link.refobjid = dependent.oid AND link.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite AS rule ON rule.oid = link.objid AND rule.ev_class <> dependent.oid
)
SELECT
    view.oid, max(dependent.depth) AS depth, view.oid::regclass::text AS name, view.relkind AS kind,
    pg_get_viewdef(view.oid) AS definition, view.relowner::regrole::text AS owner,
    (
        SELECT array_agg('CREATE' || substr(pg_get_indexdef(indexrelid), 7)) FROM pg_index WHERE indrelid = view.oid
    ) AS indexes,
    (
        SELECT array_agg(
            'GRANT ' || privilege_type || ' ON ' || view.oid::regclass || ' TO '
            || CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
        )
        FROM aclexplode(view.relacl)
        WHERE grantee <> view.relowner
    ) AS grants,
    (
        SELECT array_agg(
            CASE objsubid
                WHEN 0 THEN 'COMMENT ON ' || CASE view.relkind WHEN 'm' THEN 'MATERIALIZED ' ELSE '' END || 'VIEW '
                    || view.oid::regclass
                ELSE 'COMMENT ON COLUMN ' || view.oid::regclass || '.' || quote_ident(attname)
            END || ' IS ' || quote_literal(description)
        )
        FROM pg_description
        LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid
        WHERE objoid = view.oid AND classoid = 'pg_class'::regclass
    ) AS comments
FROM dependent
JOIN pg_class AS view ON view.oid = dependent.oid AND dependent.catalog = 'pg_class'::regclass
GROUP BY view.oid;

DO $$
DECLARE
    dependent record;
BEGIN
    FOR dependent IN SELECT name, kind FROM dependent_views WHERE depth > 0 ORDER BY depth DESC LOOP
        EXECUTE CASE dependent.kind WHEN 'm' THEN 'DROP MATERIALIZED VIEW ' ELSE 'DROP VIEW ' END || dependent.name;
    END LOOP;
END;
$$;
DROP FUNCTION IF EXISTS market_data_as_of(timestamptz);
DROP TABLE market_data;
DROP TABLE market_data_revisions;
DROP FUNCTION convert_bars(text);
DROP TABLE converted_symbols;
