SELECT
    kind,
    symbol,
    asked_at,
    history_asked_at
FROM {{ source('warehouse', 'corporate_action_inquiries') }}
