-- The first reading of each point after the buckets; from a rollup where raw readings were dropped.
SELECT
    point.id, reading.value, reading.time, reading.value, reading.time,
    0::double precision, 0, '{{}}'::double precision[]
FROM unnest(%(points)s::integer[]) AS point (id)
CROSS JOIN LATERAL (
    (
        SELECT readings.time, readings.value
        FROM readings
        WHERE readings.point_id = point.id
          AND readings.time >= greatest((%(cuts)s::timestamptz[])[%(buckets)s + 1], %(raw_from)s)
        ORDER BY readings.time
        LIMIT 1
    )
    UNION ALL
    (
        SELECT rollup.first_time, rollup.first
        FROM readings_15m AS rollup
        WHERE rollup.point_id = point.id
          AND rollup.time >= (%(cuts)s::timestamptz[])[%(buckets)s + 1] AND rollup.time < %(raw_from)s
        ORDER BY rollup.time
        LIMIT 1
    )
    ORDER BY time
    LIMIT 1
) AS reading
