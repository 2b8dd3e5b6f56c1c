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
placed AS (
    SELECT items.*, points.rollover_at, width_bucket(items.first_time, %(cuts)s::timestamptz[]) AS home
    FROM items
    LEFT JOIN points ON points.id = items.point_id
),
neighbours AS (
    SELECT
        placed.*,
        lead(first) OVER following AS next,
        lead(first_time) OVER following AS next_time,
        lead(home) OVER following AS next_home
    FROM placed
    WINDOW following AS (PARTITION BY point_id ORDER BY first_time)
),
amounts AS (
    SELECT
        point_id, home, next_home, last_time, next_time,
        {within} AS within,
        {between} AS between,
        date_part('epoch', last_time - first_time) AS seconds_within,
        date_part('epoch', next_time - last_time) AS seconds_between,
        {unfit} AS unfit,
        generate_series(greatest(home, 1), least(coalesce(next_home, home), %(buckets)s)) AS bucket
    FROM neighbours
),
parts AS (
    SELECT
        *,
        CASE
            WHEN next_home = home THEN 1  -- most are: what is below costs
            WHEN next_home > home THEN date_part(
                'epoch',
                least(next_time, (%(cuts)s::timestamptz[])[bucket + 1])
                - greatest(last_time, (%(cuts)s::timestamptz[])[bucket])
            ) / seconds_between
            ELSE 0
        END AS share
    FROM amounts
),
flows AS (
    SELECT
        point_id, bucket, unfit,
        CASE WHEN bucket = home THEN within ELSE 0 END + coalesce(between * share, 0) AS amount,
        CASE WHEN bucket = home THEN seconds_within ELSE 0 END + coalesce(seconds_between * share, 0) AS seconds
    FROM parts
)
SELECT point_id, bucket, {value} AS value, bool_or(unfit) AS unfit
FROM flows
GROUP BY point_id, bucket
HAVING sum(seconds) > 0
ORDER BY point_id, bucket
LIMIT %(limit)s
