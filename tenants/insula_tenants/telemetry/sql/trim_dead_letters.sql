-- One process at a time, and no row that another one holds: a writer must never wait for a trim.
WITH mine AS (
    SELECT FROM dead_letter_drops FOR UPDATE SKIP LOCKED
), ranked AS (
    SELECT id, row_number() OVER newest AS nth, sum(length(payload)) OVER newest AS bytes
    FROM dead_letters
    WHERE EXISTS (SELECT FROM mine)
    WINDOW newest AS (ORDER BY last_received_at DESC, id DESC)
), beyond AS (
    SELECT id FROM dead_letters
    WHERE id IN (SELECT id FROM ranked WHERE nth > %(rows)s OR bytes > %(bytes)s)
    FOR UPDATE SKIP LOCKED
), dropped AS (
    DELETE FROM dead_letters WHERE id IN (SELECT id FROM beyond) RETURNING id
)
UPDATE dead_letter_drops
SET letters = letters + (SELECT count(*) FROM dropped), last_dropped_at = now()
WHERE EXISTS (SELECT FROM dropped)
