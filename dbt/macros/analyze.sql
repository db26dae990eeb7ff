{# Refreshes a table's statistics where it is new or a tenth of it has changed, as autovacuum would some time later. #}
{% macro analyze() %}
    DO $$
    BEGIN
        IF (
            SELECT coalesce(changes.n_tup_ins + changes.n_tup_del, 0) >= 0.1 * greatest(tables.reltuples, 0)
            FROM pg_class AS tables
            LEFT JOIN pg_stat_xact_all_tables AS changes ON changes.relid = tables.oid
            WHERE tables.oid = '{{ this }}'::regclass
        ) THEN
            ANALYZE {{ this }};
        END IF;
    END $$
{% endmacro %}
