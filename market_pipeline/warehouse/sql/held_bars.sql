-- For each of some symbols its stored bars from the first to the last session, and as many as :reach before and after: the
-- bars, oldest first, as one value, a fixed-width record each with fields as in binary COPY (NaN stands for a NULL vwap or
-- transactions), and the dates of the flagged ones. A row each would take Python several times as long to read.
-- Parameters: symbol_ids, firsts, lasts (arrays of one length, in whose order the rows are), reach.
SELECT
    coalesce(
        (
            SELECT string_agg(
                date_send(date)
                || float8send(open) || float8send(high) || float8send(low) || float8send(close) || float8send(volume)
                || float8send(coalesce(vwap, 'NaN')) || float8send(coalesce(transactions::float8, 'NaN')),
                '' ORDER BY date
            )
            FROM bars
            WHERE bars.symbol_id = requested.symbol_id AND bars.date BETWEEN reached.first AND reached.last
        ),
        ''
    ) AS bars,
    ARRAY(
        SELECT date
        FROM bar_flags AS flagged
        WHERE flagged.symbol_id = requested.symbol_id
            AND flagged.date BETWEEN reached.first AND reached.last
            AND flagged.flags <> '{}'
    ) AS flagged
FROM unnest(CAST(:symbol_ids AS integer[]), CAST(:firsts AS date[]), CAST(:lasts AS date[]))
    WITH ORDINALITY AS requested (symbol_id, first, last, place)
CROSS JOIN LATERAL (
    SELECT
        coalesce(
            (
                SELECT min(date)
                FROM (
                    SELECT date
                    FROM bars
                    WHERE symbol_id = requested.symbol_id AND date < requested.first
                    ORDER BY date DESC
                    LIMIT :reach
                ) AS before
            ),
            requested.first
        ) AS first,
        coalesce(
            (
                SELECT max(date)
                FROM (
                    SELECT date
                    FROM bars
                    WHERE symbol_id = requested.symbol_id AND date > requested.last
                    ORDER BY date
                    LIMIT :reach
                ) AS after
            ),
            requested.last
        ) AS last
    LIMIT 1  -- so that it is computed once a symbol
) AS reached
ORDER BY place
