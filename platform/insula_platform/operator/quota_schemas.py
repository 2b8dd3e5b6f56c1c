"""Plans and quotas as the operator's API shows and takes them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from insula_platform.usage.schemas import LIMITS, USE, Limits, TenantQuotas


class Plan(BaseModel):
    """A named set of limits."""

    model_config = ConfigDict(
        from_attributes=True, json_schema_extra={"example": {"name": "trial", "limits": LIMITS}}
    )

    name: str
    limits: Limits


class NewPlan(BaseModel):
    """What a plan is to be."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"limits": {"devices": 25, "retention_days": 90}}}
    )

    limits: dict[str, StrictInt | None] = Field(
        description="Limits by name, in place of all that the plan had; null or missing is unlimited.",
    )


class OperatorQuotas(TenantQuotas):
    """What a tenant may use, where that comes from, and what it had when it was last measured."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "plan": "trial",
                "own": {"devices": 25},
                "limits": LIMITS,
                "use": USE,
            }
        },
    )

    own: dict[str, int | None] = Field(description="The tenant's own limits, which count over its plan's.")


class NewQuotas(BaseModel):
    """What a tenant shall be allowed."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"plan": "trial", "own": {"devices": 25, "retention_days": None}}},
    )

    plan: str = Field(description="The plan's name.")
    own: dict[str, StrictInt | None] = Field(
        default_factory=dict,
        description="Limits of this tenant alone, in place of all it had: one counts over the plan's, null "
        "lifts it, a missing one is the plan's.",
    )
