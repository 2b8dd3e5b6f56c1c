-- A reading that comes again is stored once; one that comes again with another value replaces it.
INSERT INTO readings (time, point_id, value)
SELECT timestamptz 'epoch' + new.microseconds * interval '1 microsecond', new.point_id, new.value
FROM unnest(%(times)b::bigint[], %(points)b::integer[], %(values)b::double precision[])
    AS new (microseconds, point_id, value)
ON CONFLICT (point_id, time) DO UPDATE SET value = excluded.value
WHERE readings.value IS DISTINCT FROM excluded.value
