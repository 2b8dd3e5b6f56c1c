SELECT id, name FROM points WHERE id = ANY(%(points)s::integer[]) AND kind <> 'counter' ORDER BY id LIMIT 1
