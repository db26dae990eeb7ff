{#
    The product of a column, an aggregate that PostgreSQL lacks; as a window function too. It leaves NULLs out, as sum
    does. The exponential of summed logarithms would make 0.49999999999999994 of a 2-for-1 split.
#}
{% macro product(arguments) -%} analytics_staging.product({{ arguments }}) {%- endmacro %}

{% macro create_product() %}
    CREATE SCHEMA IF NOT EXISTS analytics_staging;
    DO $$
    BEGIN
        IF to_regprocedure('analytics_staging.product(double precision)') IS NULL THEN
            CREATE AGGREGATE analytics_staging.product(double precision) (
                SFUNC = float8mul, STYPE = double precision, INITCOND = '1'
            );
        END IF;
    END $$
{% endmacro %}
