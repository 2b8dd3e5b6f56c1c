COPY readings (time, point_id, value) FROM STDIN (FORMAT binary)
