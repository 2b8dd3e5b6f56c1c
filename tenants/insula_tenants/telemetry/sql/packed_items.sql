-- Buckets whose items are to be brought together; `cuts` are the times in order at which buckets begin.
SELECT point_id, (%(cuts)s::timestamptz[])[bucket] AS time, {aggregate} AS value
FROM (
    SELECT *, width_bucket(time, %(cuts)s::timestamptz[]) AS bucket
    FROM ({items}) AS items
) AS placed
GROUP BY point_id, bucket
