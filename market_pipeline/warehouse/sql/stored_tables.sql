-- The tables and materialized views of a database except the server's own: schema and name.
SELECT nspname, relname
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'm') AND relpersistence <> 't' AND nspname <> 'information_schema' AND left(nspname, 3) <> 'pg_'
ORDER BY nspname, relname
