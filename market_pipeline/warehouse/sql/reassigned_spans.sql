-- Sessions of :symbols up to :until that no run has requested under the right ticker yet: the first and the last of each.
SELECT states.symbol, min(states.date) AS first, max(states.date) AS last
FROM session_states AS states
JOIN tracked_symbols AS tracked ON tracked.symbol = states.symbol
JOIN security_tickers AS period
    ON period.security_id = tracked.security_id
    AND period.known_since IS NOT NULL
    AND states.date BETWEEN coalesce(period.first_day, '-infinity') AND coalesce(period.last_day, 'infinity')
WHERE states.symbol = ANY(CAST(:symbols AS text[])) AND states.date <= :until
    AND states.state = 'never_asked'
GROUP BY states.symbol
