SELECT point_id AS point, time, value
FROM readings
WHERE point_id = ANY(%(points)s)
  AND time >= %(from)s AND time < %(to)s
  AND (point_id, time) > (%(after_point)s, %(after_time)s)
ORDER BY point_id, time
LIMIT %(limit)s
