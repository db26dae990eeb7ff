-- A warehouse of the first schema (revision 0001), filled by the code of that time from the sandbox and dumped with
-- pg_dump: new and revised bars of stocks and a crypto pair, rejected ones, a failed load, splits. Its calendar is cut
-- to half a year. Never to be made anew: it is what upgrades are tested with.
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA public;
COMMENT ON SCHEMA public IS 'standard public schema';
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.market_data (
    symbol text NOT NULL,
    date date NOT NULL,
    "time" timestamp with time zone NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    vwap double precision,
    transactions bigint,
    source text NOT NULL,
    validated boolean DEFAULT true NOT NULL,
    quality_score double precision DEFAULT 1 NOT NULL,
    flags text[] DEFAULT '{}'::text[] NOT NULL,
    validation_notes text,
    gap_detected boolean DEFAULT false NOT NULL,
    volume_anomaly boolean DEFAULT false NOT NULL,
    fetched_at timestamp with time zone NOT NULL,
    run_id text NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT market_data_source_check CHECK ((source = ANY (ARRAY['polygon'::text, 'sandbox'::text])))
);
COMMENT ON TABLE public.market_data IS 'Daily bars as traded (adjusted for nothing), one a symbol and session: the newest the vendor has given.';
COMMENT ON COLUMN public.market_data.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN public.market_data.date IS 'The session: New York''s date for equities, UTC''s for crypto.';
COMMENT ON COLUMN public.market_data."time" IS 'When the session''s day begins: midnight in New York for equities, UTC for crypto.';
COMMENT ON COLUMN public.market_data.open IS 'First price of the session, US dollars, as traded.';
COMMENT ON COLUMN public.market_data.high IS 'Highest price of the session, US dollars, as traded.';
COMMENT ON COLUMN public.market_data.low IS 'Lowest price of the session, US dollars, as traded.';
COMMENT ON COLUMN public.market_data.close IS 'Last price of the session, US dollars, as traded.';
COMMENT ON COLUMN public.market_data.volume IS 'Shares or coins traded; fractional for crypto and, since 2026, for stocks.';
COMMENT ON COLUMN public.market_data.vwap IS 'Volume-weighted average price, US dollars; NULL where the vendor gives none.';
COMMENT ON COLUMN public.market_data.transactions IS 'Number of trades; NULL where the vendor gives none.';
COMMENT ON COLUMN public.market_data.source IS 'Where the bar came from: polygon (the market) or sandbox (not the market).';
COMMENT ON COLUMN public.market_data.validated IS 'True where no rule found the bar odd.';
COMMENT ON COLUMN public.market_data.quality_score IS 'From 0 to 1; 1 where nothing is odd.';
COMMENT ON COLUMN public.market_data.flags IS 'The rules that found the bar odd; {} if none.';
COMMENT ON COLUMN public.market_data.validation_notes IS 'What they found, in words; NULL where nothing.';
COMMENT ON COLUMN public.market_data.gap_detected IS 'A price jump that no split explains, or a split without one.';
COMMENT ON COLUMN public.market_data.volume_anomaly IS 'No volume, or one far from the symbol''s usual one.';
COMMENT ON COLUMN public.market_data.fetched_at IS 'When these values were first loaded.';
COMMENT ON COLUMN public.market_data.run_id IS 'The run that loaded these values.';
COMMENT ON COLUMN public.market_data.updated_at IS 'When anything of the row last changed, flags included.';
CREATE TABLE public.market_data_revisions (
    id bigint NOT NULL,
    symbol text NOT NULL,
    date date NOT NULL,
    "time" timestamp with time zone NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    vwap double precision,
    transactions bigint,
    source text NOT NULL,
    validated boolean DEFAULT true NOT NULL,
    quality_score double precision DEFAULT 1 NOT NULL,
    flags text[] DEFAULT '{}'::text[] NOT NULL,
    validation_notes text,
    gap_detected boolean DEFAULT false NOT NULL,
    volume_anomaly boolean DEFAULT false NOT NULL,
    fetched_at timestamp with time zone NOT NULL,
    run_id text NOT NULL,
    replaced_at timestamp with time zone NOT NULL,
    replaced_by_run_id text NOT NULL
);
COMMENT ON TABLE public.market_data_revisions IS 'Bars that a correction by the vendor has replaced, as they were.';
COMMENT ON COLUMN public.market_data_revisions.id IS 'Surrogate key.';
COMMENT ON COLUMN public.market_data_revisions.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN public.market_data_revisions.date IS 'The session.';
COMMENT ON COLUMN public.market_data_revisions."time" IS 'When the session''s day begins: midnight in New York for equities, UTC for crypto.';
COMMENT ON COLUMN public.market_data_revisions.open IS 'First price of the session, US dollars, as traded.';
COMMENT ON COLUMN public.market_data_revisions.high IS 'Highest price of the session, US dollars, as traded.';
COMMENT ON COLUMN public.market_data_revisions.low IS 'Lowest price of the session, US dollars, as traded.';
COMMENT ON COLUMN public.market_data_revisions.close IS 'Last price of the session, US dollars, as traded.';
COMMENT ON COLUMN public.market_data_revisions.volume IS 'Shares or coins traded; fractional for crypto and, since 2026, for stocks.';
COMMENT ON COLUMN public.market_data_revisions.vwap IS 'Volume-weighted average price, US dollars; NULL where the vendor gives none.';
COMMENT ON COLUMN public.market_data_revisions.transactions IS 'Number of trades; NULL where the vendor gives none.';
COMMENT ON COLUMN public.market_data_revisions.source IS 'Where the bar came from: polygon (the market) or sandbox (not the market).';
COMMENT ON COLUMN public.market_data_revisions.validated IS 'True where no rule found the bar odd.';
COMMENT ON COLUMN public.market_data_revisions.quality_score IS 'From 0 to 1; 1 where nothing is odd.';
COMMENT ON COLUMN public.market_data_revisions.flags IS 'The rules that found the bar odd; {} if none.';
COMMENT ON COLUMN public.market_data_revisions.validation_notes IS 'What they found, in words; NULL where nothing.';
COMMENT ON COLUMN public.market_data_revisions.gap_detected IS 'A price jump that no split explains, or a split without one.';
COMMENT ON COLUMN public.market_data_revisions.volume_anomaly IS 'No volume, or one far from the symbol''s usual one.';
COMMENT ON COLUMN public.market_data_revisions.fetched_at IS 'When these values were first loaded.';
COMMENT ON COLUMN public.market_data_revisions.run_id IS 'The run that loaded these values.';
COMMENT ON COLUMN public.market_data_revisions.replaced_at IS 'When another bar took this one''s place in market_data.';
COMMENT ON COLUMN public.market_data_revisions.replaced_by_run_id IS 'The run that replaced it.';
CREATE FUNCTION public.market_data_as_of(instant timestamp with time zone) RETURNS SETOF public.market_data
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
 SELECT market_data.symbol,
     market_data.date,
     market_data."time",
     market_data.open,
     market_data.high,
     market_data.low,
     market_data.close,
     market_data.volume,
     market_data.vwap,
     market_data.transactions,
     market_data.source,
     market_data.validated,
     market_data.quality_score,
     market_data.flags,
     market_data.validation_notes,
     market_data.gap_detected,
     market_data.volume_anomaly,
     market_data.fetched_at,
     market_data.run_id,
     market_data.updated_at
    FROM public.market_data
   WHERE (market_data.fetched_at <= market_data_as_of.instant)
 UNION ALL
  SELECT market_data_revisions.symbol,
     market_data_revisions.date,
     market_data_revisions."time",
     market_data_revisions.open,
     market_data_revisions.high,
     market_data_revisions.low,
     market_data_revisions.close,
     market_data_revisions.volume,
     market_data_revisions.vwap,
     market_data_revisions.transactions,
     market_data_revisions.source,
     market_data_revisions.validated,
     market_data_revisions.quality_score,
     market_data_revisions.flags,
     market_data_revisions.validation_notes,
     market_data_revisions.gap_detected,
     market_data_revisions.volume_anomaly,
     market_data_revisions.fetched_at,
     market_data_revisions.run_id,
     market_data_revisions.fetched_at
    FROM public.market_data_revisions
   WHERE ((market_data_revisions.fetched_at <= market_data_as_of.instant) AND (market_data_revisions.replaced_at > market_data_as_of.instant));
END;
COMMENT ON FUNCTION public.market_data_as_of(instant timestamp with time zone) IS 'The rows of market_data as they were stored at an instant: select * from market_data_as_of(''2026-03-01 12:00+00''). Values are exactly those of then; flags are those of now, or of when the bar was replaced.';
CREATE TABLE public.dividends (
    id bigint NOT NULL,
    symbol text NOT NULL,
    ex_dividend_date date NOT NULL,
    cash_amount double precision NOT NULL,
    currency text,
    dividend_type text,
    frequency integer,
    declaration_date date,
    record_date date,
    pay_date date,
    vendor_id text,
    source text NOT NULL,
    fetched_at timestamp with time zone NOT NULL,
    run_id text NOT NULL,
    CONSTRAINT dividends_cash_amount_check CHECK ((cash_amount > (0)::double precision))
);
COMMENT ON TABLE public.dividends IS 'Cash dividends as the vendor lists them now, one a symbol, ex-date and kind. What it corrects, withdraws or contradicts is in rejected_corporate_actions.';
COMMENT ON COLUMN public.dividends.id IS 'Surrogate key.';
COMMENT ON COLUMN public.dividends.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN public.dividends.ex_dividend_date IS 'First session that trades without the dividend; later than today in New York: announced, not in effect.';
COMMENT ON COLUMN public.dividends.cash_amount IS 'Per share, in `currency`, as paid (not adjusted for later splits).';
COMMENT ON COLUMN public.dividends.currency IS 'ISO 4217 code; NULL where the vendor gives none.';
COMMENT ON COLUMN public.dividends.dividend_type IS 'The vendor''s own kind, e.g. recurring, special, CD; NULL where it gives none.';
COMMENT ON COLUMN public.dividends.frequency IS 'Payments a year as the vendor says; 0 for once only.';
COMMENT ON COLUMN public.dividends.declaration_date IS 'When it was announced.';
COMMENT ON COLUMN public.dividends.record_date IS 'Who held shares on this day is paid.';
COMMENT ON COLUMN public.dividends.pay_date IS 'When it is paid.';
COMMENT ON COLUMN public.dividends.vendor_id IS 'The vendor''s id of the event; NULL where it gives none.';
COMMENT ON COLUMN public.dividends.source IS 'polygon or sandbox.';
COMMENT ON COLUMN public.dividends.fetched_at IS 'When the answer that first held these values was loaded.';
COMMENT ON COLUMN public.dividends.run_id IS 'The run that loaded them.';
CREATE TABLE public.splits (
    symbol text NOT NULL,
    execution_date date NOT NULL,
    split_from double precision NOT NULL,
    split_to double precision NOT NULL,
    vendor_id text,
    source text NOT NULL,
    fetched_at timestamp with time zone NOT NULL,
    run_id text NOT NULL,
    CONSTRAINT splits_factor_check CHECK (((split_from > (0)::double precision) AND (split_to > (0)::double precision)))
);
COMMENT ON TABLE public.splits IS 'Stock splits as the vendor lists them now, one a symbol and day; prices before execution_date times split_from / split_to compare. What it corrects, withdraws or contradicts is in rejected_corporate_actions.';
COMMENT ON COLUMN public.splits.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN public.splits.execution_date IS 'First session that trades after the split; later than today in New York: announced, not in effect.';
COMMENT ON COLUMN public.splits.split_from IS 'Shares before, e.g. 1 of a 2-for-1 split.';
COMMENT ON COLUMN public.splits.split_to IS 'Shares after, e.g. 2 of a 2-for-1 split.';
COMMENT ON COLUMN public.splits.vendor_id IS 'The vendor''s id of the event; NULL where it gives none.';
COMMENT ON COLUMN public.splits.source IS 'polygon or sandbox.';
COMMENT ON COLUMN public.splits.fetched_at IS 'When the answer that first held these values was loaded.';
COMMENT ON COLUMN public.splits.run_id IS 'The run that loaded them.';
CREATE TABLE public.tracked_symbols (
    id bigint NOT NULL,
    symbol text NOT NULL,
    asset_class text NOT NULL,
    vendor_ticker text NOT NULL,
    calendar text NOT NULL,
    active boolean DEFAULT true NOT NULL,
    date_added timestamp with time zone DEFAULT now() NOT NULL,
    last_backfill timestamp with time zone,
    backfill_status text DEFAULT 'pending'::text NOT NULL,
    name text,
    vendor_type text,
    primary_exchange text,
    listed boolean,
    delisted_on date,
    renamed_to text,
    checked_at timestamp with time zone,
    CONSTRAINT tracked_symbols_asset_class_check CHECK ((asset_class = ANY (ARRAY['stock'::text, 'etf'::text, 'crypto'::text]))),
    CONSTRAINT tracked_symbols_backfill_status_check CHECK ((backfill_status = ANY (ARRAY['pending'::text, 'completed'::text, 'failed'::text])))
);
COMMENT ON TABLE public.tracked_symbols IS 'The symbols whose bars are fetched; one Dagster asset each.';
COMMENT ON COLUMN public.tracked_symbols.id IS 'Surrogate key, kept for older queries.';
COMMENT ON COLUMN public.tracked_symbols.symbol IS 'The symbol''s name here, e.g. AAPL, BRK.B, BTC; case-sensitive.';
COMMENT ON COLUMN public.tracked_symbols.asset_class IS 'stock, etf or crypto.';
COMMENT ON COLUMN public.tracked_symbols.vendor_ticker IS 'The ticker in the vendor''s requests, e.g. AAPL, X:BTCUSD.';
COMMENT ON COLUMN public.tracked_symbols.calendar IS 'Trading calendar: XNYS, or 24/7 for crypto.';
COMMENT ON COLUMN public.tracked_symbols.active IS 'False once removed: no longer fetched, its bars kept.';
COMMENT ON COLUMN public.tracked_symbols.date_added IS 'When the symbol was first tracked.';
COMMENT ON COLUMN public.tracked_symbols.last_backfill IS 'When bars of the symbol were last loaded successfully; NULL if never.';
COMMENT ON COLUMN public.tracked_symbols.backfill_status IS 'Outcome of its last load: pending (none yet), completed or failed.';
COMMENT ON COLUMN public.tracked_symbols.name IS 'The company''s or fund''s name at the vendor.';
COMMENT ON COLUMN public.tracked_symbols.vendor_type IS 'The vendor''s own type code, e.g. CS, ADRC, ETF; NULL where it gives none.';
COMMENT ON COLUMN public.tracked_symbols.primary_exchange IS 'Its exchange by ISO 10383 code, e.g. XNAS; NULL where there is none.';
COMMENT ON COLUMN public.tracked_symbols.listed IS 'Whether the vendor lists it as trading.';
COMMENT ON COLUMN public.tracked_symbols.delisted_on IS 'The last day it traded; later sessions are not asked for. NULL while it trades.';
COMMENT ON COLUMN public.tracked_symbols.renamed_to IS 'The ticker that its company trades as since delisted_on; NULL if none is known.';
COMMENT ON COLUMN public.tracked_symbols.checked_at IS 'When the vendor last said all this; NULL, like all this, if it wasn''t asked.';
CREATE TABLE public.corporate_action_inquiries (
    kind text NOT NULL,
    symbol text NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    history_asked_at timestamp with time zone NOT NULL
);
COMMENT ON TABLE public.corporate_action_inquiries IS 'When the vendor was last asked for a symbol''s splits and dividends; decides what a night asks for.';
COMMENT ON COLUMN public.corporate_action_inquiries.kind IS 'splits or dividends.';
COMMENT ON COLUMN public.corporate_action_inquiries.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN public.corporate_action_inquiries.asked_at IS 'When the vendor was last asked for its recent and announced ones.';
COMMENT ON COLUMN public.corporate_action_inquiries.history_asked_at IS 'When it was last asked for all of them.';
CREATE TABLE public.backfill_history (
    id bigint NOT NULL,
    run_id text NOT NULL,
    trigger text NOT NULL,
    symbol text NOT NULL,
    start_date date NOT NULL,
    end_date date NOT NULL,
    sessions integer NOT NULL,
    answered integer NOT NULL,
    refused integer NOT NULL,
    answered_from date,
    answered_to date,
    requests integer NOT NULL,
    fetched integer NOT NULL,
    loaded integer NOT NULL,
    revised integer NOT NULL,
    unchanged integer NOT NULL,
    rejected integer NOT NULL,
    flagged integer NOT NULL,
    missing integer NOT NULL,
    records_imported integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    duration_seconds double precision NOT NULL,
    backfill_timestamp timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    error_details text,
    notes text,
    CONSTRAINT backfill_history_answered_check CHECK ((sessions = (answered + refused))),
    CONSTRAINT backfill_history_error_details_check CHECK ((success = (error_details IS NULL))),
    CONSTRAINT backfill_history_reconciles_check CHECK ((fetched = (((loaded + revised) + unchanged) + rejected))),
    CONSTRAINT backfill_history_records_imported_check CHECK ((records_imported = (loaded + revised)))
);
COMMENT ON TABLE public.backfill_history IS 'One row a symbol and run: what was asked, what came of it. Written with the bars, in one transaction.';
COMMENT ON COLUMN public.backfill_history.id IS 'Surrogate key.';
COMMENT ON COLUMN public.backfill_history.run_id IS 'The run, as Dagster''s UI shows it.';
COMMENT ON COLUMN public.backfill_history.trigger IS 'What started the run: cli, schedule, backfill (from the UI) or manual.';
COMMENT ON COLUMN public.backfill_history.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN public.backfill_history.start_date IS 'First session asked for.';
COMMENT ON COLUMN public.backfill_history.end_date IS 'Last session asked for.';
COMMENT ON COLUMN public.backfill_history.sessions IS 'Sessions asked for, but for those after a delisting = answered + refused.';
COMMENT ON COLUMN public.backfill_history.answered IS 'Of those, the sessions that the vendor answered for, be it with nothing.';
COMMENT ON COLUMN public.backfill_history.refused IS 'Of those, the ones that failed or that the plan doesn''t give, or not yet.';
COMMENT ON COLUMN public.backfill_history.answered_from IS 'First session answered for; NULL where none was.';
COMMENT ON COLUMN public.backfill_history.answered_to IS 'Last session answered for; NULL where none was.';
COMMENT ON COLUMN public.backfill_history.requests IS 'HTTP requests it took, retries included.';
COMMENT ON COLUMN public.backfill_history.fetched IS 'Different bars in the vendor''s answer = loaded + revised + unchanged + rejected.';
COMMENT ON COLUMN public.backfill_history.loaded IS 'Bars that were new.';
COMMENT ON COLUMN public.backfill_history.revised IS 'Bars that replaced another; the other is in market_data_revisions.';
COMMENT ON COLUMN public.backfill_history.unchanged IS 'Bars that were there already, equal in every value.';
COMMENT ON COLUMN public.backfill_history.rejected IS 'Bars that can''t be true; they are in rejected_bars.';
COMMENT ON COLUMN public.backfill_history.flagged IS 'Of the bars loaded, revised or unchanged, those that a rule found odd.';
COMMENT ON COLUMN public.backfill_history.missing IS 'Sessions asked for that market_data holds no bar of after the load.';
COMMENT ON COLUMN public.backfill_history.records_imported IS 'loaded + revised, under the name that older queries use.';
COMMENT ON COLUMN public.backfill_history.started_at IS 'When work on the symbol began.';
COMMENT ON COLUMN public.backfill_history.duration_seconds IS 'How long it took, waits for the rate limit included.';
COMMENT ON COLUMN public.backfill_history.backfill_timestamp IS 'When it ended.';
COMMENT ON COLUMN public.backfill_history.success IS 'False if the symbol failed; nothing was loaded then.';
COMMENT ON COLUMN public.backfill_history.error_details IS 'Why it failed; NULL if it did not.';
COMMENT ON COLUMN public.backfill_history.notes IS 'What to know of sessions that a plan or a delisting left out; NULL where nothing.';
CREATE TABLE public.rejected_bars (
    id bigint NOT NULL,
    symbol text NOT NULL,
    date date,
    reasons text[] NOT NULL,
    payload json NOT NULL,
    source text NOT NULL,
    first_rejected_at timestamp with time zone NOT NULL,
    last_rejected_at timestamp with time zone NOT NULL,
    run_id text NOT NULL
);
COMMENT ON TABLE public.rejected_bars IS 'Bars that can''t be true, kept out of market_data with what the vendor sent and why.';
COMMENT ON COLUMN public.rejected_bars.id IS 'Surrogate key.';
COMMENT ON COLUMN public.rejected_bars.symbol IS 'The symbol asked for.';
COMMENT ON COLUMN public.rejected_bars.date IS 'The session the bar claims; NULL where its timestamp can''t be read.';
COMMENT ON COLUMN public.rejected_bars.reasons IS 'The rules it broke, in words.';
COMMENT ON COLUMN public.rejected_bars.payload IS 'The vendor''s record as it came.';
COMMENT ON COLUMN public.rejected_bars.source IS 'polygon or sandbox.';
COMMENT ON COLUMN public.rejected_bars.first_rejected_at IS 'When this very record was first refused.';
COMMENT ON COLUMN public.rejected_bars.last_rejected_at IS 'When it was last refused.';
COMMENT ON COLUMN public.rejected_bars.run_id IS 'The run that last refused it.';
CREATE TABLE public.sessions (
    calendar text NOT NULL,
    date date NOT NULL
);
COMMENT ON TABLE public.sessions IS 'Every session of every calendar in use, those of the near future included.';
COMMENT ON COLUMN public.sessions.calendar IS 'Trading calendar: XNYS, or 24/7 for crypto.';
COMMENT ON COLUMN public.sessions.date IS 'The session, by its date where it trades.';
CREATE VIEW public.session_states AS
 WITH span AS MATERIALIZED (
         SELECT tracked.symbol,
            tracked.calendar,
            tracked.delisted_on,
            ( SELECT min(h.start_date) AS min
                   FROM public.backfill_history h
                  WHERE (h.symbol = tracked.symbol)) AS first_asked,
            ( SELECT min(m.date) AS min
                   FROM public.market_data m
                  WHERE (m.symbol = tracked.symbol)) AS first_bar
           FROM public.tracked_symbols tracked
          WHERE tracked.active
        ), over AS NOT MATERIALIZED (
         SELECT span.symbol,
            span.calendar,
            session.date,
            COALESCE(span.first_bar, span.first_asked) AS first
           FROM (span
             JOIN public.sessions session ON (((session.calendar = span.calendar) AND (session.date >= span.first_asked) AND (session.date < ((now() AT TIME ZONE 'UTC'::text))::date) AND (session.date <= COALESCE(span.delisted_on, 'infinity'::date)))))
        ), without_bar AS (
         SELECT over.symbol,
            over.calendar,
            over.date,
            over.first
           FROM over
          WHERE (NOT (EXISTS ( SELECT
                   FROM public.market_data m
                  WHERE ((m.symbol = over.symbol) AND (m.date = over.date)))))
        ), explained AS (
         SELECT without_bar.symbol,
            without_bar.calendar,
            without_bar.date,
            without_bar.first,
                CASE
                    WHEN (rejected.run_id IS NOT NULL) THEN 'rejected'::text
                    WHEN (answered.run_id IS NOT NULL) THEN 'empty'::text
                    WHEN (asked.run_id IS NULL) THEN 'never_asked'::text
                    WHEN (NOT asked.success) THEN 'failed'::text
                    WHEN (without_bar.date > asked.answered_to) THEN 'not_yet_available'::text
                    ELSE 'not_in_plan'::text
                END AS state,
                CASE
                    WHEN (rejected.run_id IS NOT NULL) THEN array_to_string(rejected.reasons, '; '::text)
                    WHEN (answered.run_id IS NULL) THEN COALESCE(asked.error_details, asked.notes)
                    ELSE NULL::text
                END AS reason,
            COALESCE(rejected.run_id, answered.run_id, asked.run_id) AS run_id,
            COALESCE(rejected.last_rejected_at, answered.backfill_timestamp, asked.backfill_timestamp) AS asked_at
           FROM (((without_bar
             LEFT JOIN LATERAL ( SELECT r.reasons,
                    r.run_id,
                    r.last_rejected_at
                   FROM public.rejected_bars r
                  WHERE ((r.symbol = without_bar.symbol) AND (r.date = without_bar.date) AND (NOT (EXISTS ( SELECT
                           FROM unnest(r.reasons) broken(broken)
                          WHERE starts_with(broken.broken, 'outside_request:'::text)))))
                  ORDER BY r.last_rejected_at DESC
                 LIMIT 1) rejected ON (true))
             LEFT JOIN LATERAL ( SELECT h.run_id,
                    h.backfill_timestamp
                   FROM public.backfill_history h
                  WHERE ((h.symbol = without_bar.symbol) AND ((without_bar.date >= h.answered_from) AND (without_bar.date <= h.answered_to)))
                  ORDER BY h.backfill_timestamp DESC
                 LIMIT 1) answered ON (true))
             LEFT JOIN LATERAL ( SELECT h.run_id,
                    h.success,
                    h.answered_to,
                    h.error_details,
                    h.notes,
                    h.backfill_timestamp
                   FROM public.backfill_history h
                  WHERE ((h.symbol = without_bar.symbol) AND ((without_bar.date >= h.start_date) AND (without_bar.date <= h.end_date)))
                  ORDER BY h.backfill_timestamp DESC
                 LIMIT 1) asked ON (true))
        )
 SELECT over.symbol,
    over.calendar,
    over.date,
    'loaded'::text AS state,
    NULL::text AS reason,
    m.run_id,
    m.fetched_at AS asked_at
   FROM (over
     JOIN public.market_data m ON (((m.symbol = over.symbol) AND (m.date = over.date))))
UNION ALL
 SELECT explained.symbol,
    explained.calendar,
    explained.date,
    explained.state,
    explained.reason,
    explained.run_id,
    explained.asked_at
   FROM explained
  WHERE ((explained.date > explained.first) OR (explained.state = ANY (ARRAY['failed'::text, 'rejected'::text, 'not_yet_available'::text])));
COMMENT ON VIEW public.session_states IS 'Every session that is over, of every active symbol since its first bar (or since it was first asked for), and what is known of it.';
COMMENT ON COLUMN public.session_states.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN public.session_states.calendar IS 'Its trading calendar.';
COMMENT ON COLUMN public.session_states.date IS 'The session.';
COMMENT ON COLUMN public.session_states.state IS 'loaded; rejected (its bar can''t be true); empty (asked, and the vendor has none); not_yet_available and not_in_plan (the vendor''s plan doesn''t give it yet, or at all); failed; never_asked.';
COMMENT ON COLUMN public.session_states.reason IS 'Why there is no bar, where that is known.';
COMMENT ON COLUMN public.session_states.run_id IS 'The run that this is known from; NULL if never asked.';
COMMENT ON COLUMN public.session_states.asked_at IS 'When it became known; NULL if never asked.';
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE SEQUENCE public.backfill_history_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.backfill_history_id_seq OWNED BY public.backfill_history.id;
CREATE TABLE public.bar_source (
    only_row boolean DEFAULT true NOT NULL,
    source text NOT NULL,
    CONSTRAINT bar_source_only_row_check CHECK (only_row)
);
COMMENT ON TABLE public.bar_source IS 'Which source the first bar came from. Bars from the other are refused.';
COMMENT ON COLUMN public.bar_source.only_row IS 'Holds this table to one row.';
COMMENT ON COLUMN public.bar_source.source IS 'polygon or sandbox: the only source this database accepts.';
CREATE VIEW public.coverage AS
 WITH counted AS (
         SELECT session_states.symbol,
            min(session_states.date) AS first_session,
            max(session_states.date) FILTER (WHERE (session_states.state = 'loaded'::text)) AS last_session,
            count(*) AS sessions,
            count(*) FILTER (WHERE (session_states.state = 'loaded'::text)) AS loaded,
            count(*) FILTER (WHERE (session_states.state = 'rejected'::text)) AS rejected,
            count(*) FILTER (WHERE (session_states.state = 'empty'::text)) AS empty,
            count(*) FILTER (WHERE (session_states.state = 'not_yet_available'::text)) AS not_yet_available,
            count(*) FILTER (WHERE (session_states.state = 'not_in_plan'::text)) AS not_in_plan,
            count(*) FILTER (WHERE (session_states.state = 'failed'::text)) AS failed,
            count(*) FILTER (WHERE (session_states.state = 'never_asked'::text)) AS never_asked,
            max(session_states.date) FILTER (WHERE (session_states.state <> 'empty'::text)) AS newest
           FROM public.session_states
          GROUP BY session_states.symbol
        )
 SELECT tracked.symbol,
    tracked.asset_class,
    tracked.calendar,
    counted.first_session,
    counted.last_session,
    COALESCE(counted.sessions, (0)::bigint) AS sessions,
    COALESCE(counted.loaded, (0)::bigint) AS loaded,
    COALESCE(counted.rejected, (0)::bigint) AS rejected,
    COALESCE(counted.empty, (0)::bigint) AS empty,
    COALESCE(counted.not_yet_available, (0)::bigint) AS not_yet_available,
    COALESCE(counted.not_in_plan, (0)::bigint) AS not_in_plan,
    COALESCE(counted.failed, (0)::bigint) AS failed,
    COALESCE(counted.never_asked, (0)::bigint) AS never_asked,
    ( SELECT count(*) AS count
           FROM public.market_data m
          WHERE ((m.symbol = tracked.symbol) AND (NOT m.validated))) AS flagged,
    ( SELECT count(*) AS count
           FROM public.sessions s
          WHERE ((s.calendar = tracked.calendar) AND (s.date > counted.last_session) AND (s.date <= counted.newest))) AS behind,
    tracked.last_backfill AS last_loaded_at,
    last.error_details AS last_error
   FROM ((public.tracked_symbols tracked
     LEFT JOIN counted ON ((counted.symbol = tracked.symbol)))
     LEFT JOIN LATERAL ( SELECT h.error_details
           FROM public.backfill_history h
          WHERE (h.symbol = tracked.symbol)
          ORDER BY h.backfill_timestamp DESC
         LIMIT 1) last ON (true))
  WHERE tracked.active;
COMMENT ON VIEW public.coverage IS 'One row per active symbol: what is there of it since its first session, and what is missing.';
COMMENT ON COLUMN public.coverage.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN public.coverage.asset_class IS 'stock, etf or crypto.';
COMMENT ON COLUMN public.coverage.calendar IS 'Its trading calendar.';
COMMENT ON COLUMN public.coverage.first_session IS 'Where its sessions begin here; NULL if none was ever asked for.';
COMMENT ON COLUMN public.coverage.last_session IS 'The newest session that is loaded; NULL if none is.';
COMMENT ON COLUMN public.coverage.sessions IS 'Sessions since the first that are over = the sum of the next seven columns.';
COMMENT ON COLUMN public.coverage.loaded IS 'Sessions whose bar is in market_data.';
COMMENT ON COLUMN public.coverage.rejected IS 'Sessions whose bar can''t be true and was kept aside.';
COMMENT ON COLUMN public.coverage.empty IS 'Sessions that the vendor was asked for and has no bar of.';
COMMENT ON COLUMN public.coverage.not_yet_available IS 'Sessions that the vendor''s plan didn''t give yet when asked for.';
COMMENT ON COLUMN public.coverage.not_in_plan IS 'Sessions before the history that the vendor''s plan gives.';
COMMENT ON COLUMN public.coverage.failed IS 'Sessions whose fetching or loading failed.';
COMMENT ON COLUMN public.coverage.never_asked IS 'Sessions that nobody has asked the vendor for yet.';
COMMENT ON COLUMN public.coverage.flagged IS 'Bars that a rule found odd; they are among the loaded ones.';
COMMENT ON COLUMN public.coverage.behind IS 'Sessions since the newest loaded one that could have a bar; 0 where up to date.';
COMMENT ON COLUMN public.coverage.last_loaded_at IS 'When the symbol was last loaded successfully; NULL if never.';
COMMENT ON COLUMN public.coverage.last_error IS 'Why its last load failed; NULL if it didn''t.';
CREATE SEQUENCE public.dividends_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.dividends_id_seq OWNED BY public.dividends.id;
CREATE SEQUENCE public.market_data_revisions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.market_data_revisions_id_seq OWNED BY public.market_data_revisions.id;
CREATE SEQUENCE public.rejected_bars_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rejected_bars_id_seq OWNED BY public.rejected_bars.id;
CREATE TABLE public.rejected_corporate_actions (
    id bigint NOT NULL,
    kind text NOT NULL,
    symbol text NOT NULL,
    date date NOT NULL,
    reasons text[] NOT NULL,
    payload json NOT NULL,
    source text NOT NULL,
    first_rejected_at timestamp with time zone NOT NULL,
    last_rejected_at timestamp with time zone NOT NULL,
    run_id text NOT NULL
);
COMMENT ON TABLE public.rejected_corporate_actions IS 'Splits and dividends that were refused, or taken out again as the vendor corrected or withdrew them.';
COMMENT ON COLUMN public.rejected_corporate_actions.id IS 'Surrogate key.';
COMMENT ON COLUMN public.rejected_corporate_actions.kind IS 'splits or dividends: the table it is kept or taken out of.';
COMMENT ON COLUMN public.rejected_corporate_actions.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN public.rejected_corporate_actions.date IS 'Its execution date or ex-date.';
COMMENT ON COLUMN public.rejected_corporate_actions.reasons IS 'Why, in words.';
COMMENT ON COLUMN public.rejected_corporate_actions.payload IS 'Its values, under the names of that table''s columns.';
COMMENT ON COLUMN public.rejected_corporate_actions.source IS 'polygon or sandbox.';
COMMENT ON COLUMN public.rejected_corporate_actions.first_rejected_at IS 'When these very values were first refused or taken out.';
COMMENT ON COLUMN public.rejected_corporate_actions.last_rejected_at IS 'When they last were.';
COMMENT ON COLUMN public.rejected_corporate_actions.run_id IS 'The run that last refused them or took them out.';
CREATE SEQUENCE public.rejected_corporate_actions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rejected_corporate_actions_id_seq OWNED BY public.rejected_corporate_actions.id;
CREATE TABLE public.request_slots (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL
);
COMMENT ON TABLE public.request_slots IS 'The rate limit that all processes share: when the latest requests were, or will be, sent.';
COMMENT ON COLUMN public.request_slots.id IS 'Surrogate key.';
COMMENT ON COLUMN public.request_slots.at IS 'When the request may be sent.';
CREATE SEQUENCE public.request_slots_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.request_slots_id_seq OWNED BY public.request_slots.id;
CREATE VIEW public.runs AS
 SELECT run_id,
    min(trigger) AS trigger,
    min(started_at) AS started_at,
    max(backfill_timestamp) AS ended_at,
    min(start_date) AS start_date,
    max(end_date) AS end_date,
    count(*) AS symbols,
    count(*) FILTER (WHERE success) AS succeeded,
    count(*) FILTER (WHERE (NOT success)) AS failed,
    sum(sessions) AS sessions,
    sum(answered) AS answered,
    sum(refused) AS refused,
    sum(requests) AS requests,
    sum(fetched) AS fetched,
    sum(loaded) AS loaded,
    sum(revised) AS revised,
    sum(unchanged) AS unchanged,
    sum(rejected) AS rejected,
    sum(flagged) AS flagged,
    sum(missing) AS missing
   FROM public.backfill_history
  GROUP BY run_id;
COMMENT ON VIEW public.runs IS 'One row per run: backfill_history summed over its symbols.';
COMMENT ON COLUMN public.runs.run_id IS 'The run, as Dagster''s UI shows it.';
COMMENT ON COLUMN public.runs.trigger IS 'What started it: cli, schedule, backfill (from the UI) or manual.';
COMMENT ON COLUMN public.runs.started_at IS 'When work on its first symbol began.';
COMMENT ON COLUMN public.runs.ended_at IS 'When its last symbol was accounted for.';
COMMENT ON COLUMN public.runs.start_date IS 'First session asked for.';
COMMENT ON COLUMN public.runs.end_date IS 'Last session asked for.';
COMMENT ON COLUMN public.runs.symbols IS 'Symbols accounted for = succeeded + failed.';
COMMENT ON COLUMN public.runs.succeeded IS 'Symbols that were loaded.';
COMMENT ON COLUMN public.runs.failed IS 'Symbols that failed; backfill_history.error_details says why.';
COMMENT ON COLUMN public.runs.sessions IS 'Symbols times sessions asked for = answered + refused.';
COMMENT ON COLUMN public.runs.answered IS 'Of those, the ones that the vendor answered for, be it with nothing.';
COMMENT ON COLUMN public.runs.refused IS 'Of those, the ones that failed or that the plan doesn''t give, or not yet.';
COMMENT ON COLUMN public.runs.requests IS 'HTTP requests it took, retries included.';
COMMENT ON COLUMN public.runs.fetched IS 'Different bars in the vendor''s answers = loaded + revised + unchanged + rejected.';
COMMENT ON COLUMN public.runs.loaded IS 'Bars that were new.';
COMMENT ON COLUMN public.runs.revised IS 'Bars that replaced another.';
COMMENT ON COLUMN public.runs.unchanged IS 'Bars that were there already.';
COMMENT ON COLUMN public.runs.rejected IS 'Bars that can''t be true.';
COMMENT ON COLUMN public.runs.flagged IS 'Bars that are odd.';
COMMENT ON COLUMN public.runs.missing IS 'Sessions asked for that had no bar after the load.';
CREATE SEQUENCE public.tracked_symbols_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tracked_symbols_id_seq OWNED BY public.tracked_symbols.id;
ALTER TABLE ONLY public.backfill_history ALTER COLUMN id SET DEFAULT nextval('public.backfill_history_id_seq'::regclass);
ALTER TABLE ONLY public.dividends ALTER COLUMN id SET DEFAULT nextval('public.dividends_id_seq'::regclass);
ALTER TABLE ONLY public.market_data_revisions ALTER COLUMN id SET DEFAULT nextval('public.market_data_revisions_id_seq'::regclass);
ALTER TABLE ONLY public.rejected_bars ALTER COLUMN id SET DEFAULT nextval('public.rejected_bars_id_seq'::regclass);
ALTER TABLE ONLY public.rejected_corporate_actions ALTER COLUMN id SET DEFAULT nextval('public.rejected_corporate_actions_id_seq'::regclass);
ALTER TABLE ONLY public.request_slots ALTER COLUMN id SET DEFAULT nextval('public.request_slots_id_seq'::regclass);
ALTER TABLE ONLY public.tracked_symbols ALTER COLUMN id SET DEFAULT nextval('public.tracked_symbols_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES
	('0001');
INSERT INTO public.backfill_history VALUES
	(2, 'd329ab55-69c8-4435-9e74-2368d16a73d2', 'cli', 'BTC', '2014-05-01', '2014-06-04', 35, 35, 0, '2014-05-01', '2014-06-04', 1, 35, 35, 0, 0, 0, 0, 0, 35, '2026-11-25 18:55:56.021402+00', 0.260851, '2026-11-25 18:55:56.28226+00', true, NULL, NULL),
	(3, '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', 'cli', 'AAPL', '2014-05-01', '2014-06-04', 24, 24, 0, '2014-05-01', '2014-06-04', 1, 24, 24, 0, 0, 0, 0, 0, 24, '2026-11-25 18:55:56.743282+00', 0.500059, '2026-11-25 18:55:57.243349+00', true, NULL, NULL),
	(4, '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', 'cli', 'MSFT', '2014-05-01', '2014-06-04', 24, 24, 0, '2014-05-01', '2014-06-04', 1, 24, 24, 0, 0, 0, 0, 0, 24, '2026-11-25 18:55:56.74406+00', 0.624875, '2026-11-25 18:55:57.368941+00', true, NULL, NULL),
	(5, '828f5f8f-e912-406b-ba88-18b87c77990f', 'cli', 'BTC', '2014-05-25', '2014-06-15', 22, 22, 0, '2014-05-25', '2014-06-15', 1, 22, 11, 1, 10, 0, 0, 0, 12, '2026-11-25 18:56:04.045468+00', 0.211037, '2026-11-25 18:56:04.256513+00', true, NULL, NULL),
	(6, '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', 'cli', 'AAPL', '2014-05-27', '2014-06-13', 14, 14, 0, '2014-05-27', '2014-06-13', 1, 14, 7, 1, 6, 0, 0, 0, 8, '2026-11-25 18:56:04.670181+00', 0.376548, '2026-11-25 18:56:05.046737+00', true, NULL, NULL),
	(7, '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', 'cli', 'MSFT', '2014-05-27', '2014-06-13', 14, 14, 0, '2014-05-27', '2014-06-13', 1, 14, 7, 1, 3, 3, 0, 0, 8, '2026-11-25 18:56:04.671117+00', 0.468694, '2026-11-25 18:56:05.139819+00', true, NULL, NULL),
	(8, '55e81910-ab19-4a7f-86a2-23cc449d2489', 'cli', 'MSFT', '2014-06-10', '2014-06-18', 7, 0, 7, NULL, NULL, 5, 0, 0, 0, 0, 0, 0, 7, 0, '2026-11-25 18:56:52.218021+00', 17.302685, '2026-11-25 18:57:09.520711+00', false, 'MSFT 2014-06-10 to 2014-06-18: the vendor returned 500 "Internal Server Error". Try again later', NULL);
INSERT INTO public.bar_source VALUES
	(true, 'sandbox');
INSERT INTO public.corporate_action_inquiries VALUES
	('dividends', 'AAPL', '2026-11-25 18:56:06.312421+00', '2026-11-25 18:56:06.312421+00'),
	('dividends', 'MSFT', '2026-11-25 18:56:06.312421+00', '2026-11-25 18:56:06.312421+00'),
	('splits', 'AAPL', '2026-11-25 18:56:06.366803+00', '2026-11-25 18:56:06.366803+00'),
	('splits', 'MSFT', '2026-11-25 18:56:06.366803+00', '2026-11-25 18:56:06.366803+00');
INSERT INTO public.market_data VALUES
	('BTC', '2014-05-01', '2014-05-01 00:00:00+00', 2.0067, 2.131, 1.9914, 2.0923, 8869.006013, 2.112951, 22172, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-02', '2014-05-02 00:00:00+00', 2.1085, 2.1186, 2.0848, 2.092, 11628.741803, 2.097917, 29071, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-03', '2014-05-03 00:00:00+00', 2.0727, 2.1746, 2.0567, 2.161, 5871.411065, 2.082516, 14678, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-04', '2014-05-04 00:00:00+00', 2.1814, 2.185, 2.0938, 2.1246, 16486.647213, 2.1466, 41216, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-05', '2014-05-05 00:00:00+00', 2.0976, 2.1184, 2.0523, 2.0639, 9397.204025, 2.093437, 23493, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-06', '2014-05-06 00:00:00+00', 2.0694, 2.1618, 2.0226, 2.1241, 8498.272338, 2.04684, 21245, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-07', '2014-05-07 00:00:00+00', 2.101, 2.2476, 2.058, 2.2079, 5104.616343, 2.091648, 12761, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-08', '2014-05-08 00:00:00+00', 2.1937, 2.2206, 2.1594, 2.2052, 17686.220363, 2.213481, 44215, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-09', '2014-05-09 00:00:00+00', 2.2005, 2.2357, 2.1623, 2.2154, 7360.932879, 2.193485, 18402, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-10', '2014-05-10 00:00:00+00', 2.2116, 2.2647, 2.1317, 2.1686, 7852.30314, 2.153704, 19630, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-11', '2014-05-11 00:00:00+00', 2.1484, 2.1784, 2.0756, 2.1195, 15930.137482, 2.094574, 39825, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-12', '2014-05-12 00:00:00+00', 2.1422, 2.1847, 2.0978, 2.1361, 9213.010809, 2.140716, 23032, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-13', '2014-05-13 00:00:00+00', 2.1312, 2.1486, 2.0714, 2.1071, 18372.921653, 2.135126, 45932, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-14', '2014-05-14 00:00:00+00', 2.1287, 2.1781, 2.1248, 2.1327, 13497.71659, 2.163476, 33744, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-15', '2014-05-15 00:00:00+00', 2.1527, 2.1904, 2.103, 2.1425, 11064.507726, 2.123025, 27661, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-16', '2014-05-16 00:00:00+00', 2.1336, 2.1721, 2.1043, 2.1179, 17099.043401, 2.121098, 42747, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-17', '2014-05-17 00:00:00+00', 2.1068, 2.1958, 2.1, 2.1453, 16521.67217, 2.113932, 41304, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-18', '2014-05-18 00:00:00+00', 2.1735, 2.3185, 2.1274, 2.2635, 14760.622506, 2.243763, 36901, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-19', '2014-05-19 00:00:00+00', 2.2677, 2.2695, 2.2235, 2.2597, 15850.309648, 2.265829, 39625, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-20', '2014-05-20 00:00:00+00', 2.2721, 2.2905, 2.2133, 2.2548, 15192.805328, 2.278183, 37982, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-21', '2014-05-21 00:00:00+00', 2.28, 2.2874, 2.1694, 2.196, 18097.706003, 2.182848, 45244, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-22', '2014-05-22 00:00:00+00', 2.1925, 2.2262, 2.1499, 2.1766, 13309.898643, 2.16624, 33274, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-23', '2014-05-23 00:00:00+00', 2.1525, 2.1955, 2.1444, 2.1619, 13679.798642, 2.158135, 34199, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-24', '2014-05-24 00:00:00+00', 2.138, 2.1934, 2.1338, 2.1698, 15267.684243, 2.154154, 38169, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-25', '2014-05-25 00:00:00+00', 2.1596, 2.2249, 2.1443, 2.1939, 6207.655039, 2.150949, 15519, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-26', '2014-05-26 00:00:00+00', 2.1716, 2.2476, 2.1332, 2.2222, 12965.532794, 2.142568, 32413, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-27', '2014-05-27 00:00:00+00', 2.2075, 2.3947, 2.1988, 2.371, 7732.181802, 2.221812, 19330, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-28', '2014-05-28 00:00:00+00', 2.3579, 2.4697, 2.3359, 2.4539, 10857.328419, 2.356621, 27143, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-29', '2014-05-29 00:00:00+00', 2.4278, 2.4993, 2.4126, 2.4775, 19637.319931, 2.456084, 49093, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-30', '2014-05-30 00:00:00+00', 2.4684, 2.5197, 2.4074, 2.4747, 9284.626682, 2.410483, 23211, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-05-31', '2014-05-31 00:00:00+00', 2.5068, 2.5714, 2.4409, 2.4669, 11752.762587, 2.513173, 29381, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-06-01', '2014-06-01 00:00:00+00', 2.4451, 2.5199, 2.4138, 2.4981, 6267.326133, 2.471197, 15668, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-06-02', '2014-06-02 00:00:00+00', 2.5144, 2.5321, 2.4689, 2.5244, 9514.285703, 2.504621, 23785, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('BTC', '2014-06-03', '2014-06-03 00:00:00+00', 2.5139, 2.5388, 2.4573, 2.5227, 7876.150722, 2.533473, 19690, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:55:56.248135+00'),
	('AAPL', '2014-05-01', '2014-05-01 04:00:00+00', 409.66, 409.68, 400.36, 402.41, 14014844.774258, 402.9754, 116790, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-02', '2014-05-02 04:00:00+00', 404.02, 404.91, 398.06, 400.66, 15212329.087556, 404.66, 126769, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-05', '2014-05-05 04:00:00+00', 401.47, 405.1, 400.17, 402.79, 26093628.598572, 405.0016, 217446, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-06', '2014-05-06 04:00:00+00', 401.06, 409.69, 397.6, 406.24, 13883310.690098, 406.6571, 115694, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-07', '2014-05-07 04:00:00+00', 408.4, 409.34, 403.32, 407.88, 9678287.322784, 403.322, 80652, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-08', '2014-05-08 04:00:00+00', 407.05, 417.43, 403.71, 413.9, 15996434.443996, 416.4271, 133303, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-09', '2014-05-09 04:00:00+00', 413.85, 417.9, 407.32, 409.52, 21664398.014763, 410.8385, 180536, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-12', '2014-05-12 04:00:00+00', 411.49, 417.21, 406.58, 412.93, 17125160.519755, 413.9754, 142709, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-13', '2014-05-13 04:00:00+00', 412.09, 414.33, 401.55, 403.55, 22080070.383191, 413.1776, 184000, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-14', '2014-05-14 04:00:00+00', 403.37, 404.62, 398.28, 399.49, 22295072.973715, 399.6322, 185792, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-15', '2014-05-15 04:00:00+00', 399.35, 402.09, 391.42, 393.48, 9282992.877074, 393.1183, 77358, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-16', '2014-05-16 04:00:00+00', 393.15, 396.58, 392.03, 395.29, 23152381.640995, 393.2642, 192936, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-19', '2014-05-19 04:00:00+00', 393.84, 394.51, 388.98, 392.59, 16907414.517703, 389.7322, 140895, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-20', '2014-05-20 04:00:00+00', 393.78, 399.11, 390.49, 395.85, 22371625.811894, 395.5396, 186430, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-21', '2014-05-21 04:00:00+00', 393.6, 394.16, 391.15, 393.18, 15835634.491773, 391.6252, 131963, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-22', '2014-05-22 04:00:00+00', 395.44, 397.12, 385.11, 388.9, 10503699.69416, 394.8227, 87530, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-23', '2014-05-23 04:00:00+00', 388.52, 391.61, 384.4, 385.28, 15976148.073374, 385.664, 133134, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-27', '2014-05-27 04:00:00+00', 386.52, 389.54, 383.04, 384.97, 21685979.342312, 384.5595, 180716, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-28', '2014-05-28 04:00:00+00', 387.16, 389.33, 382.83, 388.31, 16119141.913319, 383.0772, 134326, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-29', '2014-05-29 04:00:00+00', 389.27, 392.2, 379.61, 382.99, 18885669.009326, 387.7333, 157380, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-05-30', '2014-05-30 04:00:00+00', 382.2, 385.09, 381.08, 383.84, 15224328.588601, 382.9947, 126869, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-06-02', '2014-06-02 04:00:00+00', 385.04, 389.54, 372.96, 377.45, 27743266.077395, 373.4756, 231193, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('AAPL', '2014-06-03', '2014-06-03 04:00:00+00', 376.21, 376.56, 370.68, 373.74, 14241374.31676, 371.4914, 118678, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.209204+00'),
	('MSFT', '2014-05-01', '2014-05-01 04:00:00+00', 34.14, 34.19, 33.32, 33.71, 86042484.296606, 34.1313, 717020, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-02', '2014-05-02 04:00:00+00', 33.72, 34.55, 33.61, 34.53, 36313995.384922, 34.0587, 302616, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-05', '2014-05-05 04:00:00+00', 34.64, 35.67, 34.5, 35.39, 26334130.369811, 34.7234, 219451, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-06', '2014-05-06 04:00:00+00', 35.33, 36.3, 35.11, 36.13, 37740289.955155, 35.3899, 314502, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-07', '2014-05-07 04:00:00+00', 36.34, 36.69, 35.61, 35.8, 44876844.287677, 36.637, 373973, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-08', '2014-05-08 04:00:00+00', 35.66, 36.42, 35.63, 36.28, 55660330.279509, 36.2482, 463836, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-09', '2014-05-09 04:00:00+00', 36.14, 36.34, 35.81, 36.13, 46886070.630768, 36.1445, 390717, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-12', '2014-05-12 04:00:00+00', 36.17, 36.3, 36.01, 36.09, 87041892.299609, 36.0436, 725349, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-13', '2014-05-13 04:00:00+00', 35.99, 36.03, 35.64, 35.75, 29699980.356327, 35.6775, 247499, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-14', '2014-05-14 04:00:00+00', 35.74, 36.05, 35.47, 35.68, 42810996.03272, 36.049, 356758, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-15', '2014-05-15 04:00:00+00', 35.74, 36.47, 35.39, 36.15, 94580308.596214, 36.262, 788169, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-16', '2014-05-16 04:00:00+00', 36.18, 36.65, 36.14, 36.38, 54874610.61502, 36.1887, 457288, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-19', '2014-05-19 04:00:00+00', 36.37, 36.89, 36.29, 36.61, 48721409.996205, 36.5073, 406011, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-20', '2014-05-20 04:00:00+00', 36.74, 37.13, 35.77, 36.02, 49529430.711773, 36.5218, 412745, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-21', '2014-05-21 04:00:00+00', 35.85, 36.29, 35.59, 35.86, 73416635.976907, 35.9967, 611805, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-22', '2014-05-22 04:00:00+00', 35.69, 36.13, 35.6, 36.08, 44038392.646801, 35.8979, 366986, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-23', '2014-05-23 04:00:00+00', 36.19, 36.4, 35.52, 35.77, 62462859.519156, 35.6321, 520523, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-27', '2014-05-27 04:00:00+00', 35.79, 36, 35.73, 35.79, 86897231.872255, 35.7451, 724143, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-28', '2014-05-28 04:00:00+00', 35.73, 35.96, 35.04, 35.45, 33619082.754651, 35.0883, 280159, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-29', '2014-05-29 04:00:00+00', 35.45, 35.63, 34.61, 34.96, 26376709.554339, 34.6741, 219805, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-05-30', '2014-05-30 04:00:00+00', 34.95, 35.46, 34.56, 35.15, 28928394.440863, 34.7536, 241069, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-06-02', '2014-06-02 04:00:00+00', 35.33, 36.01, 35.2, 35.68, 38877601.396888, 35.4716, 323980, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('MSFT', '2014-06-03', '2014-06-03 04:00:00+00', 35.62, 35.98, 35.06, 35.27, 50449909.707977, 35.9638, 420415, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:55:57.350369+00'),
	('BTC', '2014-06-05', '2014-06-05 00:00:00+00', 2.4514, 2.454, 2.3762, 2.3835, 6993.022664, 2.376748, 17482, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:04.234984+00', '828f5f8f-e912-406b-ba88-18b87c77990f', '2026-11-25 18:56:04.234984+00'),
	('BTC', '2014-06-06', '2014-06-06 00:00:00+00', 2.3736, 2.4726, 2.3626, 2.4636, 10591.092532, 2.460262, 26477, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:04.234984+00', '828f5f8f-e912-406b-ba88-18b87c77990f', '2026-11-25 18:56:04.234984+00'),
	('BTC', '2014-06-07', '2014-06-07 00:00:00+00', 2.4852, 2.5068, 2.4243, 2.4784, 17446.779605, 2.498112, 43616, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:04.234984+00', '828f5f8f-e912-406b-ba88-18b87c77990f', '2026-11-25 18:56:04.234984+00'),
	('BTC', '2014-06-08', '2014-06-08 00:00:00+00', 2.4468, 2.4824, 2.3895, 2.4307, 8862.24896, 2.435775, 22155, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:04.234984+00', '828f5f8f-e912-406b-ba88-18b87c77990f', '2026-11-25 18:56:04.234984+00'),
	('BTC', '2014-06-09', '2014-06-09 00:00:00+00', 2.4226, 2.4931, 2.3879, 2.4363, 16682.82551, 2.468696, 41707, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:04.234984+00', '828f5f8f-e912-406b-ba88-18b87c77990f', '2026-11-25 18:56:04.234984+00'),
	('BTC', '2014-06-10', '2014-06-10 00:00:00+00', 2.432, 2.4739, 2.3727, 2.4287, 12252.364778, 2.420667, 30630, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:04.234984+00', '828f5f8f-e912-406b-ba88-18b87c77990f', '2026-11-25 18:56:04.234984+00'),
	('BTC', '2014-06-11', '2014-06-11 00:00:00+00', 2.4106, 2.5026, 2.3852, 2.489, 23187.859632, 2.452465, 57969, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:04.234984+00', '828f5f8f-e912-406b-ba88-18b87c77990f', '2026-11-25 18:56:04.234984+00'),
	('BTC', '2014-06-12', '2014-06-12 00:00:00+00', 2.4715, 2.5197, 2.3087, 2.3559, 13517.603376, 2.314906, 33794, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:04.234984+00', '828f5f8f-e912-406b-ba88-18b87c77990f', '2026-11-25 18:56:04.234984+00'),
	('BTC', '2014-06-13', '2014-06-13 00:00:00+00', 2.3452, 2.3938, 2.3057, 2.353, 16196.081239, 2.390599, 40490, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:04.234984+00', '828f5f8f-e912-406b-ba88-18b87c77990f', '2026-11-25 18:56:04.234984+00'),
	('BTC', '2014-06-14', '2014-06-14 00:00:00+00', 2.3565, 2.406, 2.2951, 2.332, 25235.373727, 2.322308, 63088, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:04.234984+00', '828f5f8f-e912-406b-ba88-18b87c77990f', '2026-11-25 18:56:04.234984+00'),
	('BTC', '2014-06-15', '2014-06-15 00:00:00+00', 2.3461, 2.4068, 2.2384, 2.296, 12508.494, 2.283107, 31271, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:04.234984+00', '828f5f8f-e912-406b-ba88-18b87c77990f', '2026-11-25 18:56:04.234984+00'),
	('BTC', '2014-06-04', '2014-06-04 00:00:00+00', 2.5312, 2.5447, 2.3648, 2.427, 14795.539294, 2.504742, 36988, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:04.234984+00', '828f5f8f-e912-406b-ba88-18b87c77990f', '2026-11-25 18:56:04.234984+00'),
	('AAPL', '2014-06-05', '2014-06-05 04:00:00+00', 373.48, 375.23, 368.07, 371.94, 17450946.301208, 370.1465, 145424, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.016934+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.016934+00'),
	('AAPL', '2014-06-06', '2014-06-06 04:00:00+00', 372.21, 374.98, 363.39, 366.53, 19691466.615703, 366.1701, 164095, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.016934+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.016934+00'),
	('AAPL', '2014-06-09', '2014-06-09 04:00:00+00', 368.48, 370.44, 353.94, 357.25, 18667021.874419, 360.1667, 155558, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.016934+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.016934+00'),
	('AAPL', '2014-06-10', '2014-06-10 04:00:00+00', 355.76, 358.35, 354.66, 354.77, 28792519.922094, 358.2293, 239937, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.016934+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.016934+00'),
	('AAPL', '2014-06-11', '2014-06-11 04:00:00+00', 352.94, 361.45, 352.24, 357.28, 24865764.349265, 352.3753, 207214, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.016934+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.016934+00'),
	('AAPL', '2014-06-12', '2014-06-12 04:00:00+00', 357.63, 358.41, 349.85, 352.44, 20862831.79726, 349.9101, 173856, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.016934+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.016934+00'),
	('AAPL', '2014-06-13', '2014-06-13 04:00:00+00', 352.84, 353.24, 350.43, 350.46, 27709768.086583, 352.2477, 230914, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.016934+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.016934+00'),
	('AAPL', '2014-06-04', '2014-06-04 04:00:00+00', 372.54, 376.7, 369.71, 374.23, 11354170.961926, 375.0554, 94618, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.016934+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.016934+00'),
	('MSFT', '2014-06-05', '2014-06-05 04:00:00+00', 34.89, 35.37, 34.85, 35.14, 35471573.918338, 35.3254, 295596, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.104103+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.104103+00'),
	('MSFT', '2014-06-06', '2014-06-06 04:00:00+00', 35.35, 35.5, 35.18, 35.33, 38627667.06158, 35.2663, 321897, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.104103+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.104103+00'),
	('MSFT', '2014-06-09', '2014-06-09 04:00:00+00', 35.41, 35.77, 34.83, 35.11, 72444852.596616, 35.3617, 603707, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.104103+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.104103+00'),
	('MSFT', '2014-06-10', '2014-06-10 04:00:00+00', 34.91, 35.19, 34.08, 34.36, 74996558.593926, 34.2867, 624971, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.104103+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.104103+00'),
	('MSFT', '2014-06-11', '2014-06-11 04:00:00+00', 34.56, 35.3, 34.48, 35.12, 70760159.506187, 35.0906, 589667, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.104103+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.104103+00'),
	('MSFT', '2014-06-12', '2014-06-12 04:00:00+00', 34.96, 35.31, 34.93, 35.17, 27999895.25055, 35.1047, 233332, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.104103+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.104103+00'),
	('MSFT', '2014-06-13', '2014-06-13 04:00:00+00', 35.11, 35.32, 34.75, 35.14, 71095632.977372, 34.8227, 592463, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.104103+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.104103+00'),
	('MSFT', '2014-06-04', '2014-06-04 04:00:00+00', 35.27, 35.29, 34.51, 34.86, 53405335.219824, 35.1367, 445044, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:56:05.104103+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc', '2026-11-25 18:56:05.104103+00');
INSERT INTO public.market_data_revisions VALUES
	(1, 'BTC', '2014-06-04', '2014-06-04 00:00:00+00', 2.5312, 2.5447, 2.3648, 2.427, 14854.721451, 2.465871, 37098, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:56.248135+00', 'd329ab55-69c8-4435-9e74-2368d16a73d2', '2026-11-25 18:56:04.234984+00', '828f5f8f-e912-406b-ba88-18b87c77990f'),
	(2, 'AAPL', '2014-06-04', '2014-06-04 04:00:00+00', 372.54, 376.7, 369.71, 374.23, 11399587.645774, 374.6427, 94901, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.209204+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:56:05.016934+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc'),
	(3, 'MSFT', '2014-06-04', '2014-06-04 04:00:00+00', 35.27, 35.29, 34.51, 34.86, 53618956.560703, 34.99835, 446379, 'sandbox', true, 1, '{}', NULL, false, false, '2026-11-25 18:55:57.350369+00', '5f8e5ee7-3703-4d6f-bfa1-055f0b08c1ca', '2026-11-25 18:56:05.104103+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc');
INSERT INTO public.rejected_bars VALUES
	(1, 'MSFT', '2014-05-27', '{"high_too_low: its high is below its open, low or close","low_too_high: its low is above its open, high or close"}', '{"v": 86897231.872255, "vw": 35.7451, "o": 35.79, "c": 35.79, "h": 35.73, "l": 36.01, "t": 1401163200000, "n": 724143}', 'sandbox', '2026-11-25 18:56:05.100544+00', '2026-11-25 18:56:05.100544+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc'),
	(2, 'MSFT', '2014-05-28', '{"not_positive: a price is zero or negative","low_too_high: its low is above its open, high or close"}', '{"v": 33619082.754651, "vw": 35.0883, "o": 35.73, "c": 0, "h": 35.96, "l": 35.04, "t": 1401249600000, "n": 280159}', 'sandbox', '2026-11-25 18:56:05.100544+00', '2026-11-25 18:56:05.100544+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc'),
	(3, 'MSFT', '2014-05-29', '{"negative_volume: its volume or number of trades is negative"}', '{"v": -26376709.554339, "vw": 34.6741, "o": 35.45, "c": 34.96, "h": 35.63, "l": 34.61, "t": 1401336000000, "n": 219805}', 'sandbox', '2026-11-25 18:56:05.100544+00', '2026-11-25 18:56:05.100544+00', '8ad4ace2-eec4-4646-8538-b0aba3fbc2fc');
INSERT INTO public.request_slots VALUES
	(16, '2026-11-25 18:56:52.225584+00'),
	(17, '2026-11-25 18:56:53.519983+00'),
	(18, '2026-11-25 18:56:56.26458+00'),
	(19, '2026-11-25 18:57:00.981797+00'),
	(20, '2026-11-25 18:57:09.513333+00');
INSERT INTO public.sessions VALUES
	('XNYS', '2014-01-02'),
	('XNYS', '2014-01-03'),
	('XNYS', '2014-01-06'),
	('XNYS', '2014-01-07'),
	('XNYS', '2014-01-08'),
	('XNYS', '2014-01-09'),
	('XNYS', '2014-01-10'),
	('XNYS', '2014-01-13'),
	('XNYS', '2014-01-14'),
	('XNYS', '2014-01-15'),
	('XNYS', '2014-01-16'),
	('XNYS', '2014-01-17'),
	('XNYS', '2014-01-21'),
	('XNYS', '2014-01-22'),
	('XNYS', '2014-01-23'),
	('XNYS', '2014-01-24'),
	('XNYS', '2014-01-27'),
	('XNYS', '2014-01-28'),
	('XNYS', '2014-01-29'),
	('XNYS', '2014-01-30'),
	('XNYS', '2014-01-31'),
	('XNYS', '2014-02-03'),
	('XNYS', '2014-02-04'),
	('XNYS', '2014-02-05'),
	('XNYS', '2014-02-06'),
	('XNYS', '2014-02-07'),
	('XNYS', '2014-02-10'),
	('XNYS', '2014-02-11'),
	('XNYS', '2014-02-12'),
	('XNYS', '2014-02-13'),
	('XNYS', '2014-02-14'),
	('XNYS', '2014-02-18'),
	('XNYS', '2014-02-19'),
	('XNYS', '2014-02-20'),
	('XNYS', '2014-02-21'),
	('XNYS', '2014-02-24'),
	('XNYS', '2014-02-25'),
	('XNYS', '2014-02-26'),
	('XNYS', '2014-02-27'),
	('XNYS', '2014-02-28'),
	('XNYS', '2014-03-03'),
	('XNYS', '2014-03-04'),
	('XNYS', '2014-03-05'),
	('XNYS', '2014-03-06'),
	('XNYS', '2014-03-07'),
	('XNYS', '2014-03-10'),
	('XNYS', '2014-03-11'),
	('XNYS', '2014-03-12'),
	('XNYS', '2014-03-13'),
	('XNYS', '2014-03-14'),
	('XNYS', '2014-03-17'),
	('XNYS', '2014-03-18'),
	('XNYS', '2014-03-19'),
	('XNYS', '2014-03-20'),
	('XNYS', '2014-03-21'),
	('XNYS', '2014-03-24'),
	('XNYS', '2014-03-25'),
	('XNYS', '2014-03-26'),
	('XNYS', '2014-03-27'),
	('XNYS', '2014-03-28'),
	('XNYS', '2014-03-31'),
	('XNYS', '2014-04-01'),
	('XNYS', '2014-04-02'),
	('XNYS', '2014-04-03'),
	('XNYS', '2014-04-04'),
	('XNYS', '2014-04-07'),
	('XNYS', '2014-04-08'),
	('XNYS', '2014-04-09'),
	('XNYS', '2014-04-10'),
	('XNYS', '2014-04-11'),
	('XNYS', '2014-04-14'),
	('XNYS', '2014-04-15'),
	('XNYS', '2014-04-16'),
	('XNYS', '2014-04-17'),
	('XNYS', '2014-04-21'),
	('XNYS', '2014-04-22'),
	('XNYS', '2014-04-23'),
	('XNYS', '2014-04-24'),
	('XNYS', '2014-04-25'),
	('XNYS', '2014-04-28'),
	('XNYS', '2014-04-29'),
	('XNYS', '2014-04-30'),
	('XNYS', '2014-05-01'),
	('XNYS', '2014-05-02'),
	('XNYS', '2014-05-05'),
	('XNYS', '2014-05-06'),
	('XNYS', '2014-05-07'),
	('XNYS', '2014-05-08'),
	('XNYS', '2014-05-09'),
	('XNYS', '2014-05-12'),
	('XNYS', '2014-05-13'),
	('XNYS', '2014-05-14'),
	('XNYS', '2014-05-15'),
	('XNYS', '2014-05-16'),
	('XNYS', '2014-05-19'),
	('XNYS', '2014-05-20'),
	('XNYS', '2014-05-21'),
	('XNYS', '2014-05-22'),
	('XNYS', '2014-05-23'),
	('XNYS', '2014-05-27'),
	('XNYS', '2014-05-28'),
	('XNYS', '2014-05-29'),
	('XNYS', '2014-05-30'),
	('XNYS', '2014-06-02'),
	('XNYS', '2014-06-03'),
	('XNYS', '2014-06-04'),
	('XNYS', '2014-06-05'),
	('XNYS', '2014-06-06'),
	('XNYS', '2014-06-09'),
	('XNYS', '2014-06-10'),
	('XNYS', '2014-06-11'),
	('XNYS', '2014-06-12'),
	('XNYS', '2014-06-13'),
	('XNYS', '2014-06-16'),
	('XNYS', '2014-06-17'),
	('XNYS', '2014-06-18'),
	('XNYS', '2014-06-19'),
	('XNYS', '2014-06-20'),
	('XNYS', '2014-06-23'),
	('XNYS', '2014-06-24'),
	('XNYS', '2014-06-25'),
	('XNYS', '2014-06-26'),
	('XNYS', '2014-06-27'),
	('XNYS', '2014-06-30'),
	('24/7', '2014-01-01'),
	('24/7', '2014-01-02'),
	('24/7', '2014-01-03'),
	('24/7', '2014-01-04'),
	('24/7', '2014-01-05'),
	('24/7', '2014-01-06'),
	('24/7', '2014-01-07'),
	('24/7', '2014-01-08'),
	('24/7', '2014-01-09'),
	('24/7', '2014-01-10'),
	('24/7', '2014-01-11'),
	('24/7', '2014-01-12'),
	('24/7', '2014-01-13'),
	('24/7', '2014-01-14'),
	('24/7', '2014-01-15'),
	('24/7', '2014-01-16'),
	('24/7', '2014-01-17'),
	('24/7', '2014-01-18'),
	('24/7', '2014-01-19'),
	('24/7', '2014-01-20'),
	('24/7', '2014-01-21'),
	('24/7', '2014-01-22'),
	('24/7', '2014-01-23'),
	('24/7', '2014-01-24'),
	('24/7', '2014-01-25'),
	('24/7', '2014-01-26'),
	('24/7', '2014-01-27'),
	('24/7', '2014-01-28'),
	('24/7', '2014-01-29'),
	('24/7', '2014-01-30'),
	('24/7', '2014-01-31'),
	('24/7', '2014-02-01'),
	('24/7', '2014-02-02'),
	('24/7', '2014-02-03'),
	('24/7', '2014-02-04'),
	('24/7', '2014-02-05'),
	('24/7', '2014-02-06'),
	('24/7', '2014-02-07'),
	('24/7', '2014-02-08'),
	('24/7', '2014-02-09'),
	('24/7', '2014-02-10'),
	('24/7', '2014-02-11'),
	('24/7', '2014-02-12'),
	('24/7', '2014-02-13'),
	('24/7', '2014-02-14'),
	('24/7', '2014-02-15'),
	('24/7', '2014-02-16'),
	('24/7', '2014-02-17'),
	('24/7', '2014-02-18'),
	('24/7', '2014-02-19'),
	('24/7', '2014-02-20'),
	('24/7', '2014-02-21'),
	('24/7', '2014-02-22'),
	('24/7', '2014-02-23'),
	('24/7', '2014-02-24'),
	('24/7', '2014-02-25'),
	('24/7', '2014-02-26'),
	('24/7', '2014-02-27'),
	('24/7', '2014-02-28'),
	('24/7', '2014-03-01'),
	('24/7', '2014-03-02'),
	('24/7', '2014-03-03'),
	('24/7', '2014-03-04'),
	('24/7', '2014-03-05'),
	('24/7', '2014-03-06'),
	('24/7', '2014-03-07'),
	('24/7', '2014-03-08'),
	('24/7', '2014-03-09'),
	('24/7', '2014-03-10'),
	('24/7', '2014-03-11'),
	('24/7', '2014-03-12'),
	('24/7', '2014-03-13'),
	('24/7', '2014-03-14'),
	('24/7', '2014-03-15'),
	('24/7', '2014-03-16'),
	('24/7', '2014-03-17');
INSERT INTO public.sessions VALUES
	('24/7', '2014-03-18'),
	('24/7', '2014-03-19'),
	('24/7', '2014-03-20'),
	('24/7', '2014-03-21'),
	('24/7', '2014-03-22'),
	('24/7', '2014-03-23'),
	('24/7', '2014-03-24'),
	('24/7', '2014-03-25'),
	('24/7', '2014-03-26'),
	('24/7', '2014-03-27'),
	('24/7', '2014-03-28'),
	('24/7', '2014-03-29'),
	('24/7', '2014-03-30'),
	('24/7', '2014-03-31'),
	('24/7', '2014-04-01'),
	('24/7', '2014-04-02'),
	('24/7', '2014-04-03'),
	('24/7', '2014-04-04'),
	('24/7', '2014-04-05'),
	('24/7', '2014-04-06'),
	('24/7', '2014-04-07'),
	('24/7', '2014-04-08'),
	('24/7', '2014-04-09'),
	('24/7', '2014-04-10'),
	('24/7', '2014-04-11'),
	('24/7', '2014-04-12'),
	('24/7', '2014-04-13'),
	('24/7', '2014-04-14'),
	('24/7', '2014-04-15'),
	('24/7', '2014-04-16'),
	('24/7', '2014-04-17'),
	('24/7', '2014-04-18'),
	('24/7', '2014-04-19'),
	('24/7', '2014-04-20'),
	('24/7', '2014-04-21'),
	('24/7', '2014-04-22'),
	('24/7', '2014-04-23'),
	('24/7', '2014-04-24'),
	('24/7', '2014-04-25'),
	('24/7', '2014-04-26'),
	('24/7', '2014-04-27'),
	('24/7', '2014-04-28'),
	('24/7', '2014-04-29'),
	('24/7', '2014-04-30'),
	('24/7', '2014-05-01'),
	('24/7', '2014-05-02'),
	('24/7', '2014-05-03'),
	('24/7', '2014-05-04'),
	('24/7', '2014-05-05'),
	('24/7', '2014-05-06'),
	('24/7', '2014-05-07'),
	('24/7', '2014-05-08'),
	('24/7', '2014-05-09'),
	('24/7', '2014-05-10'),
	('24/7', '2014-05-11'),
	('24/7', '2014-05-12'),
	('24/7', '2014-05-13'),
	('24/7', '2014-05-14'),
	('24/7', '2014-05-15'),
	('24/7', '2014-05-16'),
	('24/7', '2014-05-17'),
	('24/7', '2014-05-18'),
	('24/7', '2014-05-19'),
	('24/7', '2014-05-20'),
	('24/7', '2014-05-21'),
	('24/7', '2014-05-22'),
	('24/7', '2014-05-23'),
	('24/7', '2014-05-24'),
	('24/7', '2014-05-25'),
	('24/7', '2014-05-26'),
	('24/7', '2014-05-27'),
	('24/7', '2014-05-28'),
	('24/7', '2014-05-29'),
	('24/7', '2014-05-30'),
	('24/7', '2014-05-31'),
	('24/7', '2014-06-01'),
	('24/7', '2014-06-02'),
	('24/7', '2014-06-03'),
	('24/7', '2014-06-04'),
	('24/7', '2014-06-05'),
	('24/7', '2014-06-06'),
	('24/7', '2014-06-07'),
	('24/7', '2014-06-08'),
	('24/7', '2014-06-09'),
	('24/7', '2014-06-10'),
	('24/7', '2014-06-11'),
	('24/7', '2014-06-12'),
	('24/7', '2014-06-13'),
	('24/7', '2014-06-14'),
	('24/7', '2014-06-15'),
	('24/7', '2014-06-16'),
	('24/7', '2014-06-17'),
	('24/7', '2014-06-18'),
	('24/7', '2014-06-19'),
	('24/7', '2014-06-20'),
	('24/7', '2014-06-21'),
	('24/7', '2014-06-22'),
	('24/7', '2014-06-23'),
	('24/7', '2014-06-24'),
	('24/7', '2014-06-25'),
	('24/7', '2014-06-26'),
	('24/7', '2014-06-27'),
	('24/7', '2014-06-28'),
	('24/7', '2014-06-29'),
	('24/7', '2014-06-30');
INSERT INTO public.splits VALUES
	('MSFT', '2003-02-18', 1, 2, 'E7508c3509b4779a4f711f03bf9078fde235d750dcfc63412dbdf36bba9bd1cae', 'sandbox', '2026-11-25 18:56:06.386269+00', 'b58742f2-ad02-458a-8dc1-dd83735462d8'),
	('AAPL', '2005-02-28', 1, 2, 'Eb16d9765e50866bcfa9f118d8b6277a381362fcd8b134685b9675c892be8e482', 'sandbox', '2026-11-25 18:56:06.386269+00', 'b58742f2-ad02-458a-8dc1-dd83735462d8'),
	('AAPL', '2000-06-21', 1, 2, 'Ee5754868654d6820b303e2d2114efc0b46e7bd728fe86cc1bfaa9e7b8bc3cd13', 'sandbox', '2026-11-25 18:56:06.386269+00', 'b58742f2-ad02-458a-8dc1-dd83735462d8');
INSERT INTO public.tracked_symbols VALUES
	(3, 'BTC', 'crypto', 'X:BTCUSD', '24/7', true, '2026-11-25 18:54:53.849081+00', '2026-11-25 18:56:04.232181+00', 'completed', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(1, 'AAPL', 'stock', 'AAPL', 'XNYS', true, '2026-11-25 18:54:49.985617+00', '2026-11-25 18:56:05.01264+00', 'completed', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(2, 'MSFT', 'stock', 'MSFT', 'XNYS', true, '2026-11-25 18:54:51.941722+00', '2026-11-25 18:56:05.100544+00', 'failed', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT pg_catalog.setval('public.backfill_history_id_seq', 8, true);
SELECT pg_catalog.setval('public.dividends_id_seq', 1, false);
SELECT pg_catalog.setval('public.market_data_revisions_id_seq', 3, true);
SELECT pg_catalog.setval('public.rejected_bars_id_seq', 3, true);
SELECT pg_catalog.setval('public.rejected_corporate_actions_id_seq', 1, false);
SELECT pg_catalog.setval('public.request_slots_id_seq', 20, true);
SELECT pg_catalog.setval('public.tracked_symbols_id_seq', 6, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.backfill_history
    ADD CONSTRAINT backfill_history_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.bar_source
    ADD CONSTRAINT bar_source_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY public.corporate_action_inquiries
    ADD CONSTRAINT corporate_action_inquiries_pkey PRIMARY KEY (kind, symbol);
ALTER TABLE ONLY public.dividends
    ADD CONSTRAINT dividends_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.market_data
    ADD CONSTRAINT market_data_pkey PRIMARY KEY (symbol, date);
ALTER TABLE ONLY public.market_data_revisions
    ADD CONSTRAINT market_data_revisions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rejected_bars
    ADD CONSTRAINT rejected_bars_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rejected_corporate_actions
    ADD CONSTRAINT rejected_corporate_actions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.request_slots
    ADD CONSTRAINT request_slots_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (calendar, date);
ALTER TABLE ONLY public.splits
    ADD CONSTRAINT splits_pkey PRIMARY KEY (symbol, execution_date);
ALTER TABLE ONLY public.tracked_symbols
    ADD CONSTRAINT tracked_symbols_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tracked_symbols
    ADD CONSTRAINT tracked_symbols_symbol_key UNIQUE (symbol);
CREATE INDEX backfill_history_run_id_idx ON public.backfill_history USING btree (run_id);
CREATE INDEX backfill_history_symbol_backfill_timestamp_idx ON public.backfill_history USING btree (symbol, backfill_timestamp);
CREATE UNIQUE INDEX dividends_event_key ON public.dividends USING btree (symbol, ex_dividend_date, dividend_type) NULLS NOT DISTINCT;
CREATE INDEX market_data_flagged_idx ON public.market_data USING btree (symbol, date) WHERE (NOT validated);
CREATE INDEX market_data_revisions_symbol_date_replaced_at_idx ON public.market_data_revisions USING btree (symbol, date, replaced_at);
CREATE INDEX market_data_time_idx ON public.market_data USING btree ("time");
CREATE UNIQUE INDEX rejected_bars_record_key ON public.rejected_bars USING btree (symbol, md5((payload)::text));
CREATE INDEX rejected_bars_symbol_date_idx ON public.rejected_bars USING btree (symbol, date);
CREATE UNIQUE INDEX rejected_corporate_actions_record_key ON public.rejected_corporate_actions USING btree (kind, symbol, md5((payload)::text));
CREATE INDEX rejected_corporate_actions_symbol_date_idx ON public.rejected_corporate_actions USING btree (symbol, date);
CREATE INDEX request_slots_at_idx ON public.request_slots USING btree (at);
