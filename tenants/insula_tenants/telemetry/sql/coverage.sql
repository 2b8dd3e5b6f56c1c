-- What the rollups hold, and where late readings in [starting, ending) wait to be rolled up.
SELECT
    rollup_state.complete_until,
    rollup_state.raw_from,
    now() AS asked_at,
    array_agg(lower(dirty.span) ORDER BY dirty.span) FILTER (WHERE dirty.span IS NOT NULL) AS begins,
    array_agg(upper(dirty.span) ORDER BY dirty.span) FILTER (WHERE dirty.span IS NOT NULL) AS ends
FROM rollup_state
LEFT JOIN LATERAL (
    SELECT unnest(range_agg(tstzrange(starting, ending))) AS span
    FROM dirty_ranges
    WHERE ending > %(starting)s AND starting < %(ending)s
) AS dirty ON true
GROUP BY rollup_state.complete_until, rollup_state.raw_from
