"""What waited because the platform was away is not over the limit."""

from __future__ import annotations

from insula_ingest.door import BURST, SETTLED, Account, Door
from insula_tenants.quotas import Quotas

LIMITED = Quotas(device_messages_per_second=10)


def let_in(door: Door, device: Account, count: int, now: float) -> int:
    """How many of so many messages at once come in."""
    return sum(door.message_over(LIMITED, device, Account(), now) is None for _ in range(count))


def settled_door(now: float) -> Door:
    door = Door(now)
    door.tick(now + SETTLED + 1, is_behind=False)
    return door


def test_a_flood_is_turned_away():
    assert let_in(settled_door(0.0), Account(), 5000, 100.0) == 10 * BURST


def test_what_a_device_kept_while_the_broker_was_away_comes_in_a_minute_after():
    door, device = settled_door(0.0), Account()
    assert let_in(door, device, 10, 100.0) == 10
    door.tick(100.0, is_behind=True)
    door.tick(400.0, is_behind=True)
    door.tick(460.0, is_behind=False)
    assert let_in(door, device, 3000, 460.0) == 3000
    assert let_in(door, device, 10_000, 461.0) < 1000, "no more than its rate allowed in that time"
