INSERT INTO sparkplug_metrics (device_id, name, alias, datatype, since)
SELECT %(device_id)s, new.name, new.alias, new.datatype, new.since
FROM unnest(%(names)s::text[], %(aliases)s::numeric[], %(datatypes)s::bigint[], %(since)s::timestamptz[])
    AS new (name, alias, datatype, since)
ON CONFLICT DO NOTHING
