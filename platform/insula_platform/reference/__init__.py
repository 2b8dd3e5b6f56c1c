"""The API reference for people: `/docs`, rendered from the OpenAPI document, with no script at all."""
