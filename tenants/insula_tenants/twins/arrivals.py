"""Take in what devices report on `attributes`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from insula_tenants.errors import InvalidInput
from insula_tenants.twins.models import Twin
from insula_tenants.twins.states import State, check_state, merge, same


class NewReport(NamedTuple):
    """A merge patch of a device's reported state."""

    device_id: int
    patch: State
    at: datetime
    """Its receipt."""


def store_reports(session: Session, reports: Sequence[NewReport]) -> dict[int, str]:
    """Merge reports into what is known, in their order; why some were not, by their place.

    Those that come again, all in their order, change nothing.
    """
    ids = sorted({report.device_id for report in reports})
    session.execute(
        insert(Twin).values([{"device_id": device_id} for device_id in ids]).on_conflict_do_nothing()
    )
    locked = select(Twin).where(Twin.device_id.in_(ids)).order_by(Twin.device_id).with_for_update()
    twins = {twin.device_id: twin for twin in session.scalars(locked)}
    states = {device_id: twin.reported for device_id, twin in twins.items()}
    received: dict[int, datetime] = {}
    refused = {}
    for place, (device_id, patch, at) in enumerate(reports):
        try:
            states[device_id] = check_state(merge(states[device_id], patch), field="reported state")
        except InvalidInput as error:
            refused[place] = f"the {error.field} after this: {error.detail}"
        else:
            received[device_id] = at
    for device_id, at in received.items():
        twin = twins[device_id]
        twin.reported_at = at
        if not twin.reported_version or not same(states[device_id], twin.reported):
            twin.reported = states[device_id]
            flag_modified(twin, "reported")  # to Python, 1 and true are equal
            twin.reported_version += 1
    session.flush()
    return refused
