"""What the demo's meters measure, and what their energy costs: figures of an example, and named so."""

from __future__ import annotations

from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_tenants.building_model.models import Equipment
from insula_tenants.devices import Device, Point
from insula_tenants.energy.meters import NewMeter, add_meter
from insula_tenants.energy.models import Meter
from insula_tenants.energy.tariffs import add_factor, add_tariff

_SINCE = date(2025, 1, 1)
_DAYTIME = {"name": "Day", "weekdays": [1, 2, 3, 4, 5], "starts": "07:00", "ends": "22:00", "price": 0.31}


def ensure_meters(session: Session, *, building: int, plant_room: int, main: str, climate: str) -> None:
    """Declare both meters by their devices, a tariff and an emission factor, unless there are any."""
    if session.scalar(select(Meter.id).limit(1)) is not None:
        return
    heat_pump = Equipment(name="Heat pump and ventilation", brick_class="HVAC_Equipment", space_id=plant_room)
    session.add(heat_pump)
    session.flush()
    whole = add_meter(
        session, NewMeter("Main meter", "electricity", _counter(session, main), building_id=building)
    )
    add_meter(
        session,
        NewMeter(
            "Heat pump and ventilation",
            "electricity",
            _counter(session, climate),
            equipment_id=heat_pump.id,
            submeter_of=whole.id,
        ),
    )
    add_tariff(
        session,
        {
            "name": "Example: day and night",
            "carrier": "electricity",
            "valid_from": _SINCE,
            "currency": "EUR",
            "price": 0.22,
            "periods": [_DAYTIME],
        },
    )
    add_factor(
        session,
        {
            "carrier": "electricity",
            "valid_from": _SINCE,
            "factor": 0.15,
            "source": "An example: put your supplier's figure here",
        },
    )


def _counter(session: Session, device: str) -> int:
    query = select(Point.id).join(Device, Device.id == Point.device_id)
    return session.scalars(query.where(Device.slug == device, Point.kind == "counter")).one()
