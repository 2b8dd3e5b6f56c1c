"""What the provider says of itself: OpenID Connect Discovery and RFC 8414, one document for both."""

from __future__ import annotations

from typing import Any

from insula_platform.oauth import scopes
from insula_platform.oauth.keys import ALGORITHM
from insula_platform.oauth.models import CLIENT_AUTH_METHODS


def metadata(issuer: str) -> dict[str, Any]:
    """The discovery document of the provider at `issuer`."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "userinfo_endpoint": f"{issuer}/oauth/userinfo",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "end_session_endpoint": f"{issuer}/oauth/logout",
        "jwks_uri": f"{issuer}/oauth/jwks.json",
        "scopes_supported": [*scopes.SCOPES, *scopes.OPERATOR_SCOPES],
        "claims_supported": [
            "sub",
            "name",
            "email",
            "email_verified",
            "tenant",
            "tenant_name",
            "role",
            "auth_time",
            "amr",
            "nonce",
        ],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "token_endpoint_auth_methods_supported": list(CLIENT_AUTH_METHODS),
        "revocation_endpoint_auth_methods_supported": list(CLIENT_AUTH_METHODS),
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "select_account"],
        "authorization_response_iss_parameter_supported": True,
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }
