-- The last reading of each point before the buckets; from a rollup where raw readings were dropped.
SELECT
    point.id AS point_id, reading.value AS first, reading.time AS first_time,
    reading.value AS last, reading.time AS last_time,
    0::double precision AS area, 0 AS fall_count, '{{}}'::double precision[] AS falls
FROM unnest(%(points)s::integer[]) AS point (id)
CROSS JOIN LATERAL (
    (
        SELECT readings.time, readings.value
        FROM readings
        WHERE readings.point_id = point.id
          AND readings.time < (%(cuts)s::timestamptz[])[1] AND readings.time >= %(raw_from)s
        ORDER BY readings.time DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT rollup.last_time, rollup.last
        FROM readings_15m AS rollup
        WHERE rollup.point_id = point.id
          AND rollup.time < least((%(cuts)s::timestamptz[])[1], %(raw_from)s)
        ORDER BY rollup.time DESC
        LIMIT 1
    )
    ORDER BY time DESC
    LIMIT 1
) AS reading
