-- Makes the views of others anew that rested on a table which a migration has replaced; it keeps their definitions, from the
-- nearest to the farthest, in the temporary table dependent_views.
DO $$
DECLARE
    dependent record;
    command text;
BEGIN
    IF to_regclass('pg_temp.dependent_views') IS NULL THEN
        RETURN;
    END IF;
    FOR dependent IN SELECT * FROM dependent_views ORDER BY depth LOOP
        CONTINUE WHEN dependent.depth > 0 AND to_regclass(dependent.name) IS NOT NULL;
        IF dependent.depth > 0 THEN
            EXECUTE 'CREATE ' || CASE dependent.kind WHEN 'm' THEN 'MATERIALIZED ' ELSE '' END || 'VIEW ' || dependent.name
                || ' AS ' || dependent.definition;
            EXECUTE 'ALTER TABLE ' || dependent.name || ' OWNER TO ' || dependent.owner;
            FOREACH command IN ARRAY coalesce(dependent.indexes, '{}') || coalesce(dependent.comments, '{}') LOOP
                EXECUTE command;
            END LOOP;
        END IF;
        FOREACH command IN ARRAY coalesce(dependent.grants, '{}') LOOP
            EXECUTE command;
        END LOOP;
    END LOOP;
    DROP TABLE dependent_views;
END;
$$;
