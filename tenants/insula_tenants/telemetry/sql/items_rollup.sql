-- Each row of a rollup in some stretches.
SELECT
    rollup.point_id, rollup.time,
    rollup.count::double precision, rollup.sum, rollup.min, rollup.max,
    rollup.first, rollup.first_time, rollup.last, rollup.last_time,
    rollup.area, rollup.fall_count, rollup.falls
FROM unnest({begins}::timestamptz[], {ends}::timestamptz[]) AS stretch (begins, ends)
JOIN {rollup} AS rollup ON rollup.time >= stretch.begins AND rollup.time < stretch.ends
WHERE rollup.point_id = ANY(%(points)s::integer[])
