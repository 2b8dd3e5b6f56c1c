SELECT points.id AS point, devices.slug AS device, points.name, devices.space_id AS space
FROM points
JOIN devices ON devices.id = points.device_id
WHERE points.id = ANY(%(points)s)
