-- Each row of a rollup in some stretches.
SELECT
    rollup.point_id, rollup.time,
    rollup.count::double precision, rollup.sum, rollup.min, rollup.max,
    rollup.first, rollup.first_time, rollup.last, rollup.last_time,
    rollup.area, rollup.fall_count, rollup.falls
FROM {among}{rollup} AS rollup
WHERE rollup.point_id = ANY(%(points)s::integer[])
  AND rollup.time >= {begins} AND rollup.time < {ends}
