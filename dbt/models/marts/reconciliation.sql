SELECT * FROM {{ ref("stg_reconciliations") }}
