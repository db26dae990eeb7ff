-- Symbols with one of the :changed dividends, a JSON list, that is at least a :share of the last close before it.
-- Parameters: changed, share.
SELECT DISTINCT changed.symbol
FROM jsonb_to_recordset(CAST(:changed AS jsonb)) AS changed (symbol text, ex_date date, cash double precision)
CROSS JOIN LATERAL (
    SELECT bar.close
    FROM bars AS bar
    WHERE bar.symbol_id = (SELECT id FROM tracked_symbols WHERE symbol = changed.symbol) AND bar.date < changed.ex_date
    ORDER BY bar.date DESC
    LIMIT 1
) AS before
WHERE changed.cash >= :share * before.close
ORDER BY changed.symbol
