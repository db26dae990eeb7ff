-- One symbol's stored bars from :first to :last, and as many as :reach before and after, oldest first, as one value:
-- a fixed-width record each, with fields as in binary COPY; the last is true if the bar is not flagged. NaN stands for
-- a NULL vwap or transactions. A row each would take Python several times as long to read. Parameters: symbol, first, last, reach.
SELECT string_agg(
    date_send(date) || timestamptz_send(time)
    || float8send(open) || float8send(high) || float8send(low) || float8send(close) || float8send(volume)
    || float8send(coalesce(vwap, 'NaN')) || float8send(coalesce(transactions::float8, 'NaN')) || boolsend(validated),
    '' ORDER BY date
)
FROM market_data
WHERE symbol = :symbol
  AND date >= coalesce(
      (
          SELECT min(date)
          FROM (
              SELECT date FROM market_data WHERE symbol = :symbol AND date < :first ORDER BY date DESC LIMIT :reach
          ) AS before
      ),
      :first
  )
  AND date <= coalesce(
      (
          SELECT max(date)
          FROM (SELECT date FROM market_data WHERE symbol = :symbol AND date > :last ORDER BY date LIMIT :reach) AS after
      ),
      :last
  )
