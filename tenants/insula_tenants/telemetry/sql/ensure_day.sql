SELECT ensure_readings_range(
    timestamptz 'epoch' + %(day)s * interval '1 day', timestamptz 'epoch' + (%(day)s + 1) * interval '1 day'
)
