"""The building model: sites, buildings, storeys, spaces, zones, equipment and points, and how they relate."""
