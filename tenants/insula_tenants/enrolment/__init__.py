"""Let devices in before they are known: by claim codes, and by announcing themselves."""
