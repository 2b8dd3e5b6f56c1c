"""A tenant's life after its creation: suspended, resumed, deleted, erased with a receipt."""

from insula_tenants.lifecycle.deletion import GRACE, cancel_deletion, request_deletion
from insula_tenants.lifecycle.erasure import ErasureIncomplete, Place, due_erasures, erase_tenant
from insula_tenants.lifecycle.models import ErasureReceipt, IdempotencyKey, TenantJob
from insula_tenants.lifecycle.suspension import align_broker, resume_tenant, suspend_tenant, tell_broker

__all__ = [
    "GRACE",
    "ErasureIncomplete",
    "ErasureReceipt",
    "IdempotencyKey",
    "Place",
    "TenantJob",
    "align_broker",
    "cancel_deletion",
    "due_erasures",
    "erase_tenant",
    "request_deletion",
    "resume_tenant",
    "suspend_tenant",
    "tell_broker",
]
