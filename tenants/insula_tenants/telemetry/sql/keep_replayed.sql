-- One that could not be stored for the same reason as another, with the same payload, counts that one up.
INSERT INTO dead_letters
    (id, first_received_at, last_received_at, times, topic, device, reason, detail, payload, payload_bytes,
     digest, replays)
OVERRIDING SYSTEM VALUE
VALUES
    (%(id)s, %(first_received_at)s, %(last_received_at)s, %(times)s, %(topic)s, %(device)s, %(reason)s,
     %(detail)s, %(payload)s, %(payload_bytes)s, %(digest)s, %(replays)s)
ON CONFLICT (digest) DO UPDATE
SET times = dead_letters.times + excluded.times,
    first_received_at = least(dead_letters.first_received_at, excluded.first_received_at),
    last_received_at = greatest(dead_letters.last_received_at, excluded.last_received_at),
    replays = greatest(dead_letters.replays, excluded.replays)
