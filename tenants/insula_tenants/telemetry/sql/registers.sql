-- Each counter's items as one string: first and last time (microseconds since 2000), first and last value and the
-- amount between, eight bytes each, big-endian. With the readings next to the question, `cuts` being its two ends.
SELECT
    items.point_id,
    string_agg(
        timestamptz_send(first_time) || timestamptz_send(last_time)
        || float8send(first) || float8send(last) || float8send({within}),
        ''::bytea
    ) AS packed,
    max(points.rollover_at) AS rollover_at,
    bool_or({unfit}) AS unfit
FROM (
    SELECT point_id, first, first_time, last, last_time, area, fall_count, falls FROM ({items}) AS inside
    UNION ALL
    {before}
    UNION ALL
    {after}
) AS items
LEFT JOIN points ON points.id = items.point_id
GROUP BY items.point_id
