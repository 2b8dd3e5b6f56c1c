"""The audit log: who changed what, written in the transaction of the change, never altered."""

from insula_tenants.audit.models import AuditEntry
from insula_tenants.audit.service import SYSTEM, Actor, ActorKind, list_entries, record

__all__ = ["SYSTEM", "Actor", "ActorKind", "AuditEntry", "list_entries", "record"]
