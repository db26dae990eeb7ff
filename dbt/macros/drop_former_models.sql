{#
    Drops a model's table and an aggregate that the warehouse's own have replaced, once no mart is made of them any more. A
    build of some models may leave one that still is.
#}
{% macro drop_former_models() %}
    DO $$
    BEGIN
        DROP TABLE IF EXISTS analytics_staging.int_adjustment_factors;
        DROP AGGREGATE IF EXISTS analytics_staging.product(double precision);
    EXCEPTION WHEN dependent_objects_still_exist THEN
        NULL;
    END $$
{% endmacro %}
