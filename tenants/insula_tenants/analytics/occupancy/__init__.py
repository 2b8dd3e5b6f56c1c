"""The use of spaces: measured by sensors, or inferred from light, CO2 and temperature."""
