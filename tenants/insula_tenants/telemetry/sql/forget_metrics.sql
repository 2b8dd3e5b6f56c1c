-- Whatever a birth tells anew, and whatever had an alias that another metric has now.
DELETE FROM sparkplug_metrics
WHERE device_id = %(device_id)s
  AND (name = ANY(%(names)s::text[]) OR alias = ANY(%(aliases)s::numeric[]))
