-- The rows of a rollup that kept too many falls to tell a meter's consumption.
SELECT DISTINCT rollup.time
FROM unnest({begins}::timestamptz[], {ends}::timestamptz[]) AS stretch (begins, ends)
JOIN {rollup} AS rollup ON rollup.time >= stretch.begins AND rollup.time < stretch.ends
WHERE rollup.point_id = ANY(%(points)s::integer[]) AND rollup.fall_count > 4
