"""The platform: API, OAuth provider, portal and command line."""
