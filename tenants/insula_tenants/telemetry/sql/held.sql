-- The end of the buckets, up to which each point's last value holds.
SELECT
    point.id, NULL::double precision, (%(cuts)s::timestamptz[])[%(buckets)s + 1],
    NULL::double precision, (%(cuts)s::timestamptz[])[%(buckets)s + 1],
    0::double precision, 0, '{{}}'::double precision[]
FROM unnest(%(points)s::integer[]) AS point (id)
