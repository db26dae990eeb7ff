{#
    Deletes the rows of removed bars, which delete+insert leaves in daily_returns. Afterwards, as the next bars' returns
    are found by them. Skipped if the numbers agree, as every bar has its row by then.
#}
{% macro delete_returns_without_bar() %}
    {% if is_incremental() %}
    DELETE FROM {{ this }} AS held
    WHERE (SELECT count(*) FROM {{ this }}) > (SELECT count(*) FROM {{ source("warehouse", "market_data") }})
        AND NOT EXISTS (
            SELECT FROM {{ source("warehouse", "market_data") }} AS bars
            WHERE bars.symbol = held.symbol AND bars.date = held.date
        )
    {% endif %}
{% endmacro %}
