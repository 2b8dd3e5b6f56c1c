SELECT point, time, value
FROM (
    SELECT
        point_id AS point,
        insula_functions.time_bucket(%(bucket)s::interval, time, %(time_zone)s) AS time,
        {aggregate} AS value
    FROM readings
    WHERE point_id = ANY(%(points)s)
      AND time >= %(from)s AND time < %(to)s
      AND point_id >= %(after_point)s
    GROUP BY 1, 2
) AS buckets
WHERE (point, time) > (%(after_point)s, %(after_time)s)
ORDER BY point, time
LIMIT %(limit)s
