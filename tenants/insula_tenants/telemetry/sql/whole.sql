-- Buckets that are rows of a rollup: nothing is to be brought together.
SELECT point_id, time, {value} AS value
FROM ({items}) AS items
ORDER BY point_id, time
LIMIT %(limit)s
