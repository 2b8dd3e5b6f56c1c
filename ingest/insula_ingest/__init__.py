"""MQTT in, TimescaleDB out; codecs; the sensor programs."""
