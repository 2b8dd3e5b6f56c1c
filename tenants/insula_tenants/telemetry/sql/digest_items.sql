-- What is known of each bucket's readings, of the items in it. Buckets are `width` seconds, counted from the epoch.
SELECT
    point_id,
    floor(date_part('epoch', time) / %(width)s) * %(width)s AS bucket,
    sum(count) AS count,
    min(min) AS min,
    max(max) AS max,
    date_part('epoch', min(first_time)) AS first_time,
    date_part('epoch', max(last_time)) AS last_time
FROM ({items}) AS items
GROUP BY 1, 2
