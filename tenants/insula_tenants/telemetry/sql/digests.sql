-- What is known of each bucket's readings, of the items in it. Buckets are `width` seconds, counted from the epoch.
SELECT
    point_id,
    floor(date_part('epoch', time) / %(width)s) * %(width)s,
    sum(count),
    min(min),
    max(max),
    date_part('epoch', min(first_time)),
    date_part('epoch', max(last_time))
FROM ({items}) AS items
GROUP BY 1, 2
ORDER BY 1, 2
