"""What proves a person beside their password: a code of an app, a passkey, a recovery code."""

from insula_platform.factors.service import Factors, factors_of, forget_factors

__all__ = ["Factors", "factors_of", "forget_factors"]
