-- Buckets that are all as wide, whose items are to be brought together; one of them begins at `origin`.
SELECT point_id, bucket AS time, {aggregate} AS value
FROM (
    SELECT *, date_bin(%(step)s, time, %(origin)s) AS bucket
    FROM ({items}) AS items
) AS placed
GROUP BY point_id, bucket
