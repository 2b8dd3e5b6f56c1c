"""One tenant as one file: exported from any database of a deployment, imported into any other.

A bundle is a zip whose members lie uncompressed (Parquet compresses by itself, and a member that is stored
cannot be a bomb)::

    manifest.json                what follows, with rows, bytes and SHA-256 of each; written last
    members.jsonl                people and their roles, by e-mail address; no password, no hash
    sites.jsonl … points.jsonl   the model, devices, their credentials' hashes, points: a JSON object a row
    dead_letters.jsonl           what could not be stored
    readings/2026-11.parquet     point_id int32, time timestamp[us, UTC], value float64; by point and time

Left out on purpose: plaintext secrets (there are none), OAuth clients and tokens (they are made anew), and
`latest` (it follows from the readings).
"""
