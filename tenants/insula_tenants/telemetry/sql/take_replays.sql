SELECT id, first_received_at, last_received_at, times, topic, device, reason, detail, payload, replays
FROM dead_letters
WHERE replay_requested_at IS NOT NULL
ORDER BY id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
