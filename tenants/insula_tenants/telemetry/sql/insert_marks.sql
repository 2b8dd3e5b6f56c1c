INSERT INTO dirty_ranges (starting, ending)
SELECT timestamptz 'epoch' + new.starting * interval '1 microsecond',
       timestamptz 'epoch' + new.ending * interval '1 microsecond'
FROM unnest(%(starting)b::bigint[], %(ending)b::bigint[]) AS new (starting, ending)
