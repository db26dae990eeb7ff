-- Rights of the current role, one per column. Parameters: reader (the reading role), elsewhere (true if Dagster's database
-- is on another server).
SELECT
    quote_ident(current_user) AS role,
    quote_ident(current_database()) AS database,
    has_schema_privilege('public', 'CREATE') AS make_tables_in_public,
    has_database_privilege(current_database(), 'CREATE') AS make_schemas,
    coalesce(
        bool_and(
            has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
            AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')
        ),
        true
    ) AS read_and_write_all_tables_in_public,
    (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user)
    OR EXISTS (SELECT FROM pg_roles WHERE rolname = :reader AND pg_has_role(oid, 'MEMBER')) AS work_as_the_reading_role,
    CAST(:elsewhere AS boolean)
    OR (SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user)
    OR EXISTS (SELECT FROM pg_database WHERE datname = current_database() || '_dagster') AS make_dagsters_own_database
FROM pg_class
WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
