-- Every relation that the API may serve, with its columns. Parameter: relations (names in the schema public).
-- The API serves everything in the schema analytics. The number of rows is an estimate, known for analyzed tables only.
SELECT
    relation.relname AS name,
    relation.relnamespace::regnamespace::text AS schema,
    relation.relkind IN ('v', 'm') AS is_view,
    to_regprocedure(quote_ident(relation.relnamespace::regnamespace::text) || '.' || quote_ident(relation.relname || '_as_of')
        || '(timestamptz)') IS NOT NULL AS is_versioned,
    coalesce(obj_description(relation.oid, 'pg_class'), '') AS description,
    (
        -- market_data has a row for each of bars, and so on
        SELECT counted.reltuples::bigint
        FROM pg_class AS counted
        WHERE counted.oid = CASE relation.oid
            WHEN 'public.market_data'::regclass THEN 'public.bars'::regclass
            WHEN 'public.market_data_revisions'::regclass THEN 'public.bars_revisions'::regclass
            ELSE relation.oid
        END AND counted.relkind IN ('r', 'p') AND counted.reltuples >= 0
    ) AS row_estimate,
    (
        SELECT array_agg(part.attname::text ORDER BY array_position(key.indkey::int2[], part.attnum))
        FROM pg_index AS key
        JOIN pg_attribute AS part ON part.attrelid = relation.oid AND part.attnum = ANY(key.indkey)
        WHERE key.indrelid = relation.oid AND key.indisprimary
    ) AS key,
    json_agg(json_build_object(
        'name', attribute.attname,
        'type', format_type(attribute.atttypid, NULL),
        'nullable', NOT attribute.attnotnull AND relation.relkind IN ('r', 'p') OR relation.relkind IN ('v', 'm'),
        'description', coalesce(col_description(relation.oid, attribute.attnum), '')
    ) ORDER BY attribute.attnum) AS columns
FROM pg_class AS relation
JOIN pg_attribute AS attribute
    ON attribute.attrelid = relation.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
WHERE relation.relkind IN ('r', 'p', 'v', 'm')
    AND (
        relation.relnamespace = to_regnamespace('analytics')
        OR relation.relnamespace = 'public'::regnamespace AND relation.relname = ANY(CAST(:relations AS text[]))
    )
    AND has_table_privilege(relation.oid, 'SELECT')
GROUP BY relation.oid, relation.relname, relation.relnamespace, relation.relkind, relation.reltuples
ORDER BY schema DESC, name ASC
