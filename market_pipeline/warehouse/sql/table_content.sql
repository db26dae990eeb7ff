-- How many rows a table has, and a sum over all of them that tells any other rows from these. The table's name goes
-- where the braces are.
SELECT count(*) AS rows, coalesce(sum(('x' || left(md5(t::text), 16))::bit(64)::bigint::numeric), 0) AS content
FROM {} AS t -- noqa: PRS
