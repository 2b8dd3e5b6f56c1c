INSERT INTO dead_letters
    (first_received_at, last_received_at, topic, device, reason, detail, payload, payload_bytes, digest)
VALUES
    (%(received_at)s, %(received_at)s, %(topic)s, %(device)s, %(reason)s, %(detail)s, %(payload)s,
     %(payload_bytes)s, %(digest)s)
ON CONFLICT (digest) DO UPDATE
SET times = dead_letters.times + 1,
    last_received_at = greatest(dead_letters.last_received_at, excluded.last_received_at)
