-- One symbol's stored bars that the staged ones stand among: those between the first and the last of them, and as many
-- as :look_back before and after. The staged ones themselves are left out. Parameters: symbol, first, last, look_back.
SELECT date, time, open, high, low, close, volume, vwap, transactions
FROM market_data AS held
WHERE held.symbol = :symbol
  AND held.date >= coalesce(
      (
          SELECT min(date)
          FROM (
              SELECT date FROM market_data WHERE symbol = :symbol AND date < :first ORDER BY date DESC LIMIT :look_back
          ) AS before
      ),
      :first
  )
  AND held.date <= coalesce(
      (
          SELECT max(date)
          FROM (SELECT date FROM market_data WHERE symbol = :symbol AND date > :last ORDER BY date LIMIT :look_back) AS after
      ),
      :last
  )
  AND NOT EXISTS (SELECT FROM staged_bars AS staged WHERE staged.date = held.date)
