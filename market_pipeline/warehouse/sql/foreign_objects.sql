-- Objects on the server that this project didn't make: kind (role, database, table) and name.
-- Parameters: known_roles, known_databases, known_tables (schema.name), each an array.
SELECT 'role' AS kind, rolname::text AS name, 1 AS number
FROM pg_roles
WHERE rolname !~ '^pg_' AND rolname <> ALL(CAST(:known_roles AS text[]))
UNION ALL
SELECT 'database', datname::text, 1
FROM pg_database
WHERE NOT datistemplate AND datname <> ALL(CAST(:known_databases AS text[]))
UNION ALL
SELECT 'table', nspname || '.' || relname, 1
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE
    relkind IN ('r', 'p', 'v', 'm', 'f')
    AND nspname !~ '^pg_'
    AND nspname <> 'information_schema'
    AND nspname || '.' || relname <> ALL(CAST(:known_tables AS text[]))
