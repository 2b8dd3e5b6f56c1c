-- Buckets that are rows of a rollup.
SELECT point_id, time, {value} AS value FROM ({items}) AS items
