-- Where the bars that replace stored ones wait to do so. Every column has a fixed width, so that COPY can be fed straight
-- from arrays; NaN stands for a missing vwap or transactions here, and becomes NULL then. The table stays for as
-- long as the connection does: making it takes longer than replacing a night's few.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_bars (
    date date NOT NULL,
    time timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    vwap double precision NOT NULL,
    transactions double precision NOT NULL
) ON COMMIT DELETE ROWS
