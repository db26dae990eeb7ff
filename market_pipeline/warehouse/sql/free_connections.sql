-- Free connections of the server, the database and the role; NULL if there is no limit.
WITH used AS (
    SELECT
        count(*) AS of_server,
        count(*) FILTER (WHERE datname = current_database()) AS of_database,
        count(*) FILTER (WHERE usename = current_user) AS of_role
    FROM pg_stat_activity
    WHERE backend_type = 'client backend'
)
SELECT
    current_setting('max_connections')::integer
        - current_setting('superuser_reserved_connections')::integer
        - coalesce(current_setting('reserved_connections', true), '0')::integer
        - used.of_server AS server,
    (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()) - used.of_database AS database,
    (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user) - used.of_role AS role
FROM used
