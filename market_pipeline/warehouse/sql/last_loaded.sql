-- The last load of each table: by a run, or by a refresh of splits and dividends.
SELECT loaded.name, loaded.at
FROM (
    SELECT unnest(ARRAY['market_data', 'market_data_revisions', 'rejected_bars', 'backfill_history']) AS name,
        (SELECT max(backfill_timestamp) FROM backfill_history) AS at
    UNION ALL
    SELECT kind, max(asked_at) FROM corporate_action_inquiries GROUP BY kind
    UNION ALL
    SELECT 'corporate_action_inquiries', max(asked_at) FROM corporate_action_inquiries
    UNION ALL
    SELECT 'rejected_corporate_actions', max(asked_at) FROM corporate_action_inquiries
    UNION ALL
    SELECT 'tracked_symbols', max(greatest(date_added, last_backfill, checked_at)) FROM tracked_symbols
) AS loaded
WHERE loaded.at IS NOT NULL
