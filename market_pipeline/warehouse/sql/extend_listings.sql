-- Extends the listings of symbols that a market has, once their own loads have stored bars from a first to a last one.
-- Parameters: symbol_ids, firsts, lasts (arrays of one length).
UPDATE market_listings AS held
SET first_session = least(held.first_session, stored.first), last_session = greatest(held.last_session, stored.last)
FROM unnest(CAST(:symbol_ids AS integer[]), CAST(:firsts AS date[]), CAST(:lasts AS date[]))
    AS stored (symbol_id, first, last)
WHERE held.symbol_id = stored.symbol_id AND (stored.first < held.first_session OR stored.last > held.last_session)
