SELECT point_id, time, value
FROM readings
WHERE point_id = ANY(%(points)s::integer[])
  AND time >= %(starting)s AND time < %(ending)s
ORDER BY point_id, time
LIMIT %(limit)s
