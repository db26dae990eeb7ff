{#
    Drops the table of a model that the warehouse's own adjustment_factors has replaced, once no mart is made of it any more.
    A build of some models may leave one that still is.
#}
{% macro drop_former_models() %}
    DO $$
    BEGIN
        DROP TABLE IF EXISTS analytics_staging.int_adjustment_factors;
    EXCEPTION WHEN dependent_objects_still_exist THEN
        NULL;
    END $$
{% endmacro %}
