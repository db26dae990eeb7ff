-- The bars of all symbols from the first to the last date, those of one date as one value: a fixed-width record each with fields as
-- in binary COPY (NaN stands for a NULL vwap or transactions). Parameters: first, last.
SELECT
    string_agg(
        int4send(symbol_id) || date_send(date)
        || float8send(open) || float8send(high) || float8send(low) || float8send(close) || float8send(volume)
        || float8send(coalesce(vwap, 'NaN')) || float8send(coalesce(transactions::float8, 'NaN')),
        ''
    ) AS bars
FROM bars
WHERE date BETWEEN :first AND :last
GROUP BY date
