-- Buckets that are rows of a rollup: nothing is to be brought together.
SELECT
    point_id,
    date_part('epoch', time) AS bucket,
    count,
    min,
    max,
    date_part('epoch', first_time) AS first_time,
    date_part('epoch', last_time) AS last_time
FROM ({items}) AS items
