-- One symbol's stored bars from :first to :last, and as many as :reach before and after, oldest first, as one value:
-- a fixed-width record each, with fields as in binary COPY; the last is true if the bar is not flagged. NaN stands for
-- a NULL vwap or transactions. A row each would take Python several times as long to read. Parameters: symbol_id, first, last,
-- reach.
SELECT string_agg(
    date_send(bars.date)
    || float8send(open) || float8send(high) || float8send(low) || float8send(close) || float8send(volume)
    || float8send(coalesce(vwap, 'NaN')) || float8send(coalesce(transactions::float8, 'NaN'))
    || boolsend(coalesce(flags, '{}') = '{}'),
    '' ORDER BY bars.date
)
FROM bars
LEFT JOIN bar_flags AS flagged ON flagged.symbol_id = bars.symbol_id AND flagged.date = bars.date
WHERE bars.symbol_id = :symbol_id
  AND bars.date >= coalesce(
      (
          SELECT min(date)
          FROM (
              SELECT date FROM bars WHERE symbol_id = :symbol_id AND date < :first ORDER BY date DESC LIMIT :reach
          ) AS before
      ),
      :first
  )
  AND bars.date <= coalesce(
      (
          SELECT max(date)
          FROM (SELECT date FROM bars WHERE symbol_id = :symbol_id AND date > :last ORDER BY date LIMIT :reach) AS after
      ),
      :last
  )
