-- Makes the table hold these sessions of a calendar and no other. Nothing is written where it does already.
-- Parameters: calendar, days.
WITH given AS (
    SELECT unnest(CAST(:days AS date[])) AS date
),
gone AS (
    DELETE FROM sessions WHERE calendar = :calendar AND date NOT IN (SELECT date FROM given)
)
INSERT INTO sessions (calendar, date)
SELECT CAST(:calendar AS text), date FROM given
EXCEPT
SELECT calendar, date FROM sessions WHERE calendar = :calendar
ON CONFLICT DO NOTHING
