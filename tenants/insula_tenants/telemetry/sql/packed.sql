-- Each point's buckets as one string: time (microseconds since 2000) and value, eight bytes each, big-endian.
SELECT point_id, string_agg(timestamptz_send(time) || float8send(value), ''::bytea) AS packed
FROM ({buckets}) AS buckets
GROUP BY point_id
