-- Late readings leave the latest value alone. Rows come sorted by point, so that two writers never deadlock.
INSERT INTO latest (time, point_id, value)
SELECT timestamptz 'epoch' + new.microseconds * interval '1 microsecond', new.point_id, new.value
FROM unnest(%(times)b::bigint[], %(points)b::integer[], %(values)b::double precision[])
    AS new (microseconds, point_id, value)
ORDER BY new.point_id
ON CONFLICT (point_id) DO UPDATE SET time = excluded.time, value = excluded.value
WHERE latest.time <= excluded.time
