"""The programs of a tenant: service clients and apps that its admins register, and their secrets."""
