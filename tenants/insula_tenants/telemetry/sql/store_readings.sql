-- A reading that comes again is stored once; one that comes again with another value replaces it. Late readings
-- leave the latest value alone. Rows come sorted by point and time, and readings are stored before latest values (a
-- WITH that nobody reads from runs last), as they are when they are copied: so two writers never deadlock. One
-- statement for both: with few readings a tenant, what a statement costs is most of it.
WITH new AS MATERIALIZED (
    SELECT timestamptz 'epoch' + given.microseconds * interval '1 microsecond' AS time, given.point_id, given.value
    FROM unnest(%(times)b::bigint[], %(points)b::integer[], %(values)b::double precision[])
        AS given (microseconds, point_id, value)
), newest AS (
    INSERT INTO latest (time, point_id, value)
    SELECT DISTINCT ON (point_id) time, point_id, value FROM new ORDER BY point_id, time DESC
    ON CONFLICT (point_id) DO UPDATE SET time = excluded.time, value = excluded.value
    WHERE latest.time <= excluded.time
)
INSERT INTO readings (time, point_id, value)
SELECT time, point_id, value FROM new
ON CONFLICT (point_id, time) DO UPDATE SET value = excluded.value
WHERE readings.value IS DISTINCT FROM excluded.value
