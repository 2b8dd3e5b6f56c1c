-- One value a bucket from the items in it; `cuts` are the times in order at which buckets begin.
SELECT point_id, bucket, {aggregate} AS value, false AS unfit
FROM (
    SELECT *, width_bucket(time, %(cuts)s::timestamptz[]) AS bucket
    FROM ({items}) AS items
) AS placed
GROUP BY point_id, bucket
ORDER BY point_id, bucket
LIMIT %(limit)s
