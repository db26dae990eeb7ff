-- One symbol's stored bars from :first to :last, and as many as :look_back before and after; columns of a fixed width, so
-- NaN stands for a missing vwap or transactions. Parameters (merged in by psycopg: COPY takes none): symbol, first, last,
-- look_back.
COPY (
    SELECT date, time, open, high, low, close, volume, coalesce(vwap, 'NaN'), coalesce(transactions::float8, 'NaN')
    FROM market_data
    WHERE symbol = %(symbol)s
      AND date >= coalesce(
          (
              SELECT min(date)
              FROM (
                  SELECT date FROM market_data
                  WHERE symbol = %(symbol)s AND date < %(first)s
                  ORDER BY date DESC LIMIT %(look_back)s
              ) AS before
          ),
          %(first)s
      )
      AND date <= coalesce(
          (
              SELECT max(date)
              FROM (
                  SELECT date FROM market_data
                  WHERE symbol = %(symbol)s AND date > %(last)s
                  ORDER BY date LIMIT %(look_back)s
              ) AS after
          ),
          %(last)s
      )
    ORDER BY date
) TO STDOUT (FORMAT binary)
