SELECT points.id AS point, devices.slug AS device, points.name, latest.time, latest.value,
    CASE WHEN num_nonnulls(points.minimum, points.maximum) > 0 THEN
        latest.value >= coalesce(points.minimum, '-infinity') AND latest.value <= coalesce(points.maximum, 'infinity')
    END AS in_range
FROM latest
JOIN points ON points.id = latest.point_id
JOIN devices ON devices.id = points.device_id
WHERE (%(device)s::text IS NULL OR devices.slug = %(device)s)
  AND (%(space)s::integer IS NULL OR devices.space_id = %(space)s)
  AND (%(within)s::integer[] IS NULL OR devices.space_id = ANY(%(within)s))
  AND (%(points)s::integer[] IS NULL OR points.id = ANY(%(points)s))
  AND points.id > %(after)s
ORDER BY points.id
LIMIT %(limit)s
