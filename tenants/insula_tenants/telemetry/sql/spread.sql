-- What flows over time (a value's area, a meter's consumption), in each bucket. An item has an amount within it,
-- and one between it and the next item of its point, which is split at the buckets' edges in proportion to time.
-- `cuts` are the times in order at which buckets begin, and last the end of the last one.
WITH items AS (
    SELECT point_id, first, first_time, last, last_time, area, fall_count, falls FROM ({items}) AS inside
    UNION ALL
    {before}
    UNION ALL
    {after}
),
neighbours AS (
    SELECT
        items.*,
        points.rollover_at,
        width_bucket(items.first_time, %(cuts)s::timestamptz[]) AS home,
        lead(items.first) OVER following AS next,
        lead(items.first_time) OVER following AS next_time
    FROM items
    LEFT JOIN points ON points.id = items.point_id
    WINDOW following AS (PARTITION BY items.point_id ORDER BY items.first_time)
),
amounts AS (
    SELECT
        point_id, home, last_time, next_time,
        {within} AS within,
        date_part('epoch', last_time - first_time) AS seconds_within,
        {between} AS between,
        {unfit} AS unfit,
        generate_series(
            greatest(home, 1),
            least(coalesce(width_bucket(next_time, %(cuts)s::timestamptz[]), home), %(buckets)s)
        ) AS bucket
    FROM neighbours
),
parts AS (
    SELECT
        point_id, bucket, between, unfit,
        CASE WHEN bucket = home THEN within ELSE 0 END AS within,
        CASE WHEN bucket = home THEN seconds_within ELSE 0 END AS seconds_within,
        date_part('epoch', next_time - last_time) AS seconds_between,
        CASE WHEN next_time IS NOT NULL THEN date_part(
            'epoch',
            least(next_time, (%(cuts)s::timestamptz[])[bucket + 1])
            - greatest(last_time, (%(cuts)s::timestamptz[])[bucket])
        ) END AS seconds_here
    FROM amounts
)
SELECT
    point_id,
    bucket,
    {value} AS value,
    bool_or(unfit) AS unfit
FROM (
    SELECT
        point_id, bucket, unfit,
        within + coalesce(between * (seconds_here / seconds_between), 0) AS amount,
        seconds_within + coalesce(seconds_here, 0) AS seconds
    FROM parts
) AS flows
GROUP BY point_id, bucket
HAVING sum(seconds) > 0
ORDER BY point_id, bucket
LIMIT %(limit)s
