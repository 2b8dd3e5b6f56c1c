-- Each raw reading of some stretches, as if it were a row of a rollup.
SELECT
    readings.point_id, readings.time,
    1::double precision AS count, readings.value AS sum, readings.value AS min, readings.value AS max,
    readings.value AS first, readings.time AS first_time, readings.value AS last, readings.time AS last_time,
    0::double precision AS area, 0 AS fall_count, '{{}}'::double precision[] AS falls
FROM {among}readings
WHERE readings.point_id = ANY(%(points)s::integer[])
  AND readings.time >= {begins} AND readings.time < {ends}
