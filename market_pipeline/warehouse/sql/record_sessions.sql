-- Makes the table hold exactly these sessions of a calendar. Writes differences only.
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
