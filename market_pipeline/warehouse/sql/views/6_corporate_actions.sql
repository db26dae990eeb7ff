-- Effects of splits and dividends on prices: their joint effect at each session, the state of each symbol's adjustment, and
-- adjusted bars. `adjustment_factors` is made of these views by the statement refresh_adjustment_factors.

-- Splits and dividends take effect by the date in New York. Tests set another one: ALTER DATABASE .. SET market_pipeline.today.
CREATE OR REPLACE FUNCTION new_york_today() RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(
        nullif(current_setting('market_pipeline.today', true), '')::date,
        (now() AT TIME ZONE 'America/New_York')::date
    )
$$;

COMMENT ON FUNCTION new_york_today() IS 'The date in New York, by which splits and dividends take effect.';

-- PostgreSQL lacks this aggregate. The exponential of summed logarithms would make 0.49999999999999994 of a 2-for-1 split.
DO $$
BEGIN
    IF to_regprocedure('public.product(double precision)') IS NULL THEN
        CREATE AGGREGATE public.product(double precision) (SFUNC = float8mul, STYPE = double precision, INITCOND = '1');
    END IF;
END $$;

-- One symbol after the other (LATERAL), so that a query for some symbols reads no others.
CREATE OR REPLACE VIEW session_actions AS
SELECT
    tracked.symbol, effect.session, effect.split_factor, effect.cash_amount, effect.previous_date, effect.previous_close,
    effect.dividend_factor, effect.unknown_because
FROM tracked_symbols AS tracked
CROSS JOIN LATERAL (
    -- A split pays nothing, a dividend leaves the number of shares alone. What a dividend in another currency pays in
    -- dollars is not known, nor is the effect of an action that was rejected and that the vendor still lists.
    WITH actions AS (
        SELECT
            s.execution_date AS ex_date, s.split_from / s.split_to AS split_factor,
            0::double precision AS cash_amount, NULL::text AS problem
        FROM splits AS s
        WHERE s.symbol = tracked.symbol
        UNION ALL
        SELECT
            d.ex_dividend_date, 1, CASE WHEN d.currency = 'USD' THEN d.cash_amount END,
            CASE WHEN (d.currency IS DISTINCT FROM 'USD') THEN 'not in US dollars' END
        FROM dividends AS d
        WHERE d.symbol = tracked.symbol
        UNION ALL
        SELECT
            r.date, CASE WHEN r.kind = 'dividends' THEN 1 END, CASE WHEN r.kind = 'splits' THEN 0 END,
            array_to_string(r.reasons, '; ')
        FROM rejected_corporate_actions AS r
        WHERE r.symbol = tracked.symbol AND r.listed AND r.date IS NOT NULL
    ),
    -- An action takes effect with the first session on or after its date; no market was ever closed for two weeks. Without
    -- the bound, each lookup reads a page of the index.
    in_effect AS (
        SELECT
            coalesce(
                (
                    SELECT min(s.date)
                    FROM sessions AS s
                    WHERE s.calendar = tracked.calendar AND s.date BETWEEN actions.ex_date AND actions.ex_date + 14
                ),
                actions.ex_date
            ) AS session,
            actions.split_factor, actions.cash_amount,
            CASE WHEN actions.split_factor IS NULL THEN 'split of ' ELSE 'dividend of ' END
                || actions.ex_date || ': ' || actions.problem AS problem
        FROM actions
        WHERE actions.ex_date <= new_york_today()
    ),
    by_session AS MATERIALIZED (
        SELECT
            session,
            CASE WHEN bool_and(split_factor IS NOT NULL) THEN product(split_factor ORDER BY split_factor) END AS split_factor,
            CASE WHEN bool_and(cash_amount IS NOT NULL) THEN sum(cash_amount ORDER BY cash_amount) END AS cash_amount,
            string_agg(DISTINCT problem, '; ' ORDER BY problem) AS problem
        FROM in_effect
        GROUP BY session
    ),
    -- Materialized, so that the close is looked up once and not for each column made of it.
    with_close AS MATERIALIZED (
        SELECT
            by_session.*, bar.date AS previous_date,
            -- In shares of this session, whatever splits have come between; the one of this very session is among them.
            (
                SELECT CASE
                    WHEN bool_and(splits.split_factor IS NOT NULL)
                        THEN bar.close * product(splits.split_factor ORDER BY splits.session)
                END
                FROM by_session AS splits
                WHERE splits.session > bar.date AND splits.session <= by_session.session
            ) AS previous_close
        FROM by_session
        -- The last close before it, if it is no more than ten sessions old: ten days never hold more than ten sessions, and
        -- forty days always do.
        LEFT JOIN LATERAL (
            SELECT newest.date, newest.close
            FROM (
                SELECT b.date, b.close
                FROM bars AS b
                WHERE b.symbol_id = tracked.id AND b.date < by_session.session AND b.date > by_session.session - 40
                ORDER BY b.date DESC
                LIMIT 1
            ) AS newest
            WHERE CASE
                WHEN newest.date >= by_session.session - 10 THEN true
                ELSE (
                    SELECT count(*)
                    FROM sessions AS s
                    WHERE s.calendar = tracked.calendar AND s.date > newest.date AND s.date <= by_session.session
                ) <= 10
            END
        ) AS bar ON true
    ),
    with_factor AS (
        SELECT
            *,
            CASE
                WHEN cash_amount = 0 THEN 1
                WHEN cash_amount < previous_close THEN 1 - cash_amount / previous_close
            END AS dividend_factor
        FROM with_close
    )
    SELECT
        session, split_factor, cash_amount, previous_date, previous_close, dividend_factor,
        coalesce(
            problem,
            CASE
                WHEN dividend_factor IS NOT NULL THEN NULL
                WHEN previous_date IS NULL THEN 'dividend of ' || session || ': no close in the ten sessions before'
                WHEN previous_close IS NULL THEN 'dividend of ' || session || ': a split since the close before is not known'
                ELSE 'dividend of ' || session || ': it exceeds the close before'
            END
        ) AS unknown_because
    FROM with_factor
) AS effect;

COMMENT ON VIEW session_actions IS
    'Effects of splits and dividends on a symbol''s prices, at the session that first trades after them, those of one session '
    'together: split factors multiplied, dollars summed. Only of actions in effect: dated no later than today in New York. A '
    'dividend is per share as that session trades it, after a split of the same day. The close before may be up to ten '
    'sessions old, as in CRSP''s returns (https://crsp.org/products/documentation/data-definitions-h).';
COMMENT ON COLUMN session_actions.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN session_actions.session IS 'The first session on or after the date of the action.';
COMMENT ON COLUMN session_actions.split_factor IS
    'Factor of earlier prices for the splits; 1 where there are only dividends, NULL where it is not known.';
COMMENT ON COLUMN session_actions.cash_amount IS
    'Dollars a share; 0 where there are only splits, NULL where it is not known, as in another currency.';
COMMENT ON COLUMN session_actions.previous_date IS 'The session of the close before; NULL where there is none.';
COMMENT ON COLUMN session_actions.previous_close IS
    'The close before, if no more than ten sessions old, in shares of this session: times the factor of the splits since; '
    'NULL where there is none or the factor is not known.';
COMMENT ON COLUMN session_actions.dividend_factor IS
    '1 - cash_amount / previous_close, a further factor of earlier prices; NULL if either is not known or nothing would be '
    'left.';
COMMENT ON COLUMN session_actions.unknown_because IS
    'Why split_factor or dividend_factor is not known, with the date of each action concerned; NULL if both are known.';

CREATE OR REPLACE VIEW adjustment_states AS
SELECT
    tracked.symbol,
    requested.splits_asked_at,
    requested.dividends_asked_at,
    tracked.asset_class = 'crypto' OR (requested.splits_asked_at IS NOT NULL AND undated.splits IS NULL) AS splits_known,
    tracked.asset_class = 'crypto' OR (requested.dividends_asked_at IS NOT NULL AND undated.dividends IS NULL)
        AS dividends_known,
    CASE
        WHEN tracked.asset_class = 'crypto' THEN NULL
        ELSE nullif(concat_ws(
            '; ',
            CASE
                WHEN requested.splits_asked_at IS NULL AND requested.dividends_asked_at IS NULL
                    THEN 'splits and dividends were never requested'
                WHEN requested.splits_asked_at IS NULL THEN 'splits were never requested'
                WHEN requested.dividends_asked_at IS NULL THEN 'dividends were never requested'
            END,
            'a split without a readable date: ' || undated.splits,
            'a dividend without a readable date: ' || undated.dividends
        ), '')
    END AS all_unknown_because,
    stretches.split_adjusted_from,
    stretches.fully_adjusted_from,
    stretches.unknown_because
FROM tracked_symbols AS tracked
LEFT JOIN LATERAL (
    SELECT
        max(i.asked_at) FILTER (WHERE i.kind = 'splits') AS splits_asked_at,
        max(i.asked_at) FILTER (WHERE i.kind = 'dividends') AS dividends_asked_at
    FROM corporate_action_inquiries AS i
    WHERE i.symbol = tracked.symbol
) AS requested ON true
LEFT JOIN LATERAL (
    SELECT
        max(array_to_string(r.reasons, '; ')) FILTER (WHERE r.kind = 'splits') AS splits,
        max(array_to_string(r.reasons, '; ')) FILTER (WHERE r.kind = 'dividends') AS dividends
    FROM rejected_corporate_actions AS r
    WHERE r.symbol = tracked.symbol AND r.listed AND r.date IS NULL
) AS undated ON true
LEFT JOIN LATERAL (
    SELECT
        min(f.from_date) FILTER (WHERE f.split_factor IS NOT NULL) AS split_adjusted_from,
        min(f.from_date) FILTER (WHERE f.split_factor IS NOT NULL AND f.dividend_factor IS NOT NULL) AS fully_adjusted_from,
        (array_agg(f.unknown_because ORDER BY f.from_date) FILTER (WHERE f.unknown_because IS NOT NULL))[1] AS unknown_because
    FROM adjustment_factors AS f
    WHERE f.symbol = tracked.symbol
) AS stretches ON true;

COMMENT ON VIEW adjustment_states IS
    'One row per symbol ever tracked: when its splits and dividends were requested, and from which day on its adjusted prices '
    'are known.';
COMMENT ON COLUMN adjustment_states.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN adjustment_states.splits_asked_at IS 'When its splits were last requested; NULL if never or for crypto.';
COMMENT ON COLUMN adjustment_states.dividends_asked_at IS
    'When its dividends were last requested; NULL if never or for crypto.';
COMMENT ON COLUMN adjustment_states.splits_known IS
    'True if its splits were requested and each has a readable date; crypto has none.';
COMMENT ON COLUMN adjustment_states.dividends_known IS
    'True if its dividends were requested and each has a readable date; crypto has none.';
COMMENT ON COLUMN adjustment_states.all_unknown_because IS
    'Why adjusted prices of all days are not known; NULL if those of the newest are.';
COMMENT ON COLUMN adjustment_states.split_adjusted_from IS
    'The first day from which on split-adjusted prices are known; 0001-01-01 if those of all bars are, NULL if none.';
COMMENT ON COLUMN adjustment_states.fully_adjusted_from IS
    'The first day from which on prices adjusted for splits and dividends are known; 0001-01-01 if those of all bars are, '
    'NULL if none.';
COMMENT ON COLUMN adjustment_states.unknown_because IS
    'Why adjusted prices before those days are not known; NULL if all are known or nothing is loaded.';

CREATE OR REPLACE VIEW daily_bars_adjusted AS
SELECT
    bars.symbol,
    bars.date,
    bars.open * factors.split_factor AS open,
    bars.high * factors.split_factor AS high,
    bars.low * factors.split_factor AS low,
    bars.close * factors.split_factor AS close,
    bars.volume / factors.split_factor AS volume,
    bars.vwap * factors.split_factor AS vwap,
    bars.transactions,
    bars.open * factors.split_factor * factors.dividend_factor AS adj_open,
    bars.high * factors.split_factor * factors.dividend_factor AS adj_high,
    bars.low * factors.split_factor * factors.dividend_factor AS adj_low,
    bars.close * factors.split_factor * factors.dividend_factor AS adj_close,
    factors.split_factor,
    factors.dividend_factor,
    bars.validated,
    bars.flags,
    bars.quality_score,
    bars.validation_notes,
    bars.gap_detected,
    bars.volume_anomaly,
    bars.time,
    bars.source,
    bars.fetched_at,
    bars.run_id,
    factors.unknown_because
FROM market_data AS bars
LEFT JOIN adjustment_factors AS factors
    ON factors.symbol = bars.symbol AND bars.date >= factors.from_date AND bars.date < factors.to_date;

COMMENT ON VIEW daily_bars_adjusted IS
    'Daily bars to compare over time. open, high, low, close and vwap are adjusted for splits and volume is divided by the same '
    'factor, as if the splits in effect today had always been; adj_open, adj_high, adj_low and adj_close are adjusted for '
    'dividends too. Backward adjustment, as Yahoo Finance publishes it '
    '(https://sg.help.yahoo.com/kb/finance-for-desktop/adjusted-close-sln28256.html): a split multiplies earlier prices with '
    'split_from / split_to, a dividend with 1 - amount / close before the ex-date, amounts as paid and closes as traded.';
COMMENT ON COLUMN daily_bars_adjusted.symbol IS 'The symbol, as in tracked_symbols.';
COMMENT ON COLUMN daily_bars_adjusted.date IS 'The session: New York''s date for equities, UTC''s for crypto.';
COMMENT ON COLUMN daily_bars_adjusted.open IS
    'First price of the session, US dollars, split-adjusted; NULL where split_factor is.';
COMMENT ON COLUMN daily_bars_adjusted.high IS
    'Highest price of the session, US dollars, split-adjusted; NULL where split_factor is.';
COMMENT ON COLUMN daily_bars_adjusted.low IS
    'Lowest price of the session, US dollars, split-adjusted; NULL where split_factor is.';
COMMENT ON COLUMN daily_bars_adjusted.close IS
    'Last price of the session, US dollars, split-adjusted; NULL where split_factor is.';
COMMENT ON COLUMN daily_bars_adjusted.volume IS 'Shares or coins traded, split-adjusted; NULL where split_factor is.';
COMMENT ON COLUMN daily_bars_adjusted.vwap IS
    'Volume-weighted average price, US dollars, split-adjusted; NULL where the vendor gives none or split_factor is.';
COMMENT ON COLUMN daily_bars_adjusted.transactions IS 'Number of trades; NULL where the vendor gives none.';
COMMENT ON COLUMN daily_bars_adjusted.adj_open IS 'As open, adjusted for dividends too; NULL where either factor is.';
COMMENT ON COLUMN daily_bars_adjusted.adj_high IS 'As high, adjusted for dividends too; NULL where either factor is.';
COMMENT ON COLUMN daily_bars_adjusted.adj_low IS 'As low, adjusted for dividends too; NULL where either factor is.';
COMMENT ON COLUMN daily_bars_adjusted.adj_close IS 'As close, adjusted for dividends too; NULL where either factor is.';
COMMENT ON COLUMN daily_bars_adjusted.split_factor IS
    'Factor that makes a price of this day comparable with today''s: the product of split_from / split_to over all later splits '
    'in effect. NULL where it is not known; unknown_because has the reason.';
COMMENT ON COLUMN daily_bars_adjusted.dividend_factor IS
    'Further factor, with which a price''s change is a holder''s return: the product of 1 - dividend / close before the ex-date '
    'over all later dividends in effect. NULL where it is not known; unknown_because has the reason.';
COMMENT ON COLUMN daily_bars_adjusted.validated IS 'True if no rule flagged the bar.';
COMMENT ON COLUMN daily_bars_adjusted.flags IS 'The rules that flagged the bar; {} if none.';
COMMENT ON COLUMN daily_bars_adjusted.quality_score IS 'From 0 to 1; 1 for a bar without flags.';
COMMENT ON COLUMN daily_bars_adjusted.validation_notes IS 'The flags in words; NULL if there is none.';
COMMENT ON COLUMN daily_bars_adjusted.gap_detected IS 'A price jump that no split explains, or a split without one.';
COMMENT ON COLUMN daily_bars_adjusted.volume_anomaly IS 'No volume, or one far from the symbol''s usual one.';
COMMENT ON COLUMN daily_bars_adjusted.time IS
    'When the session''s day begins: midnight in New York for equities, UTC for crypto.';
COMMENT ON COLUMN daily_bars_adjusted.source IS 'Where the bar came from: polygon (the market) or sandbox (not the market).';
COMMENT ON COLUMN daily_bars_adjusted.fetched_at IS 'When these values were first loaded.';
COMMENT ON COLUMN daily_bars_adjusted.run_id IS 'The run that loaded these values.';
COMMENT ON COLUMN daily_bars_adjusted.unknown_because IS
    'Why a factor is not known: the split or dividend, its date and the reason; NULL where both are known.';

CREATE OR REPLACE FUNCTION daily_bars_adjusted_as_of(instant timestamptz) RETURNS SETOF daily_bars_adjusted
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        bars.symbol,
        bars.date,
        bars.open * factors.split_factor AS open,
        bars.high * factors.split_factor AS high,
        bars.low * factors.split_factor AS low,
        bars.close * factors.split_factor AS close,
        bars.volume / factors.split_factor AS volume,
        bars.vwap * factors.split_factor AS vwap,
        bars.transactions,
        bars.open * factors.split_factor * factors.dividend_factor AS adj_open,
        bars.high * factors.split_factor * factors.dividend_factor AS adj_high,
        bars.low * factors.split_factor * factors.dividend_factor AS adj_low,
        bars.close * factors.split_factor * factors.dividend_factor AS adj_close,
        factors.split_factor,
        factors.dividend_factor,
        bars.validated,
        bars.flags,
        bars.quality_score,
        bars.validation_notes,
        bars.gap_detected,
        bars.volume_anomaly,
        bars.time,
        bars.source,
        bars.fetched_at,
        bars.run_id,
        CASE
            WHEN factors.symbol IS NULL THEN 'the adjustment factors of that instant were not kept'
            ELSE factors.unknown_because
        END
    FROM market_data_as_of(instant) AS bars
    LEFT JOIN adjustment_factors_as_of(instant) AS factors
        ON factors.symbol = bars.symbol AND bars.date >= factors.from_date AND bars.date < factors.to_date;
END;

COMMENT ON FUNCTION daily_bars_adjusted_as_of(timestamptz) IS
    'The rows of daily_bars_adjusted as they were at an instant: with the bars, the splits and dividends in effect and the names '
    'of then. The instant has to be settled: no later than settled_point().';
