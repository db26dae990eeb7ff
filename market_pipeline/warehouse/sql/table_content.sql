-- The number of a table's rows, and a sum over all of them that any difference changes. The braces stand for the
-- table's name.
SELECT count(*) AS rows, coalesce(sum(('x' || left(md5(t::text), 16))::bit(64)::bigint::numeric), 0) AS content
FROM {} AS t -- noqa: PRS
