"""Who is let in, second by second; the clock is the test's."""

from __future__ import annotations

from insula_ingest.door import BURST, CATCH_UP, LETTERS_AT_ONCE, SETTLED, TELL_AGAIN, Account, Door
from insula_tenants.quotas import Quotas


def settled() -> tuple[Door, float]:
    door = Door(0.0)
    door.tick(SETTLED + 1, is_behind=False)
    return door, SETTLED + 1


def let_in(door: Door, quotas: Quotas, device: Account, tenant: Account, count: int, now: float) -> int:
    return sum(door.message_over(quotas, device, tenant, now) is None for _ in range(count))


def test_a_device_may_send_a_burst_and_then_its_rate():
    door, now = settled()
    device, tenant, quotas = Account(), Account(), Quotas(device_messages_per_second=5)
    assert let_in(door, quotas, device, tenant, 1000, now) == 5 * BURST
    assert let_in(door, quotas, device, tenant, 1000, now + 1) == 5
    assert let_in(door, quotas, device, tenant, 1000, now + 1000) == 5 * BURST


def test_a_flooding_device_leaves_its_tenants_tokens_to_the_others():
    door, now = settled()
    flood, quiet, tenant = Account(), Account(), Account()
    quotas = Quotas(device_messages_per_second=5, tenant_messages_per_second=10)
    let_in(door, quotas, flood, tenant, 10_000, now)
    for second in range(1, 60):
        assert let_in(door, quotas, flood, tenant, 1000, now + second) == 5
        assert let_in(door, quotas, quiet, tenant, 5, now + second) == 5


def test_a_tenants_limit_says_which_it_is():
    door, now = settled()
    tenant, quotas = Account(), Quotas(tenant_messages_per_second=1)
    for _ in range(int(BURST)):
        assert door.message_over(quotas, Account(), tenant, now) is None
    assert door.message_over(quotas, Account(), tenant, now) == "1 messages a second of all devices together"


def test_a_message_with_more_values_than_are_left_is_paid_for_later():
    door, now = settled()
    device, tenant, quotas = Account(), Account(), Quotas(device_values_per_second=10)
    assert door.values_over(quotas, device, tenant, 300, now) is None
    assert door.values_over(quotas, device, tenant, 1, now) is not None
    assert door.values_over(quotas, device, tenant, 1, now + 19) is not None
    assert door.values_over(quotas, device, tenant, 1, now + 21) is None


def test_nobody_is_over_for_what_the_broker_kept_meanwhile():
    quotas = Quotas(device_messages_per_second=1)
    at_start = Door(0.0)
    assert let_in(at_start, quotas, Account(), Account(), 10_000, 0.0) == CATCH_UP
    door, now = settled()
    device, tenant = Account(), Account()
    let_in(door, quotas, device, tenant, 1000, now)
    for second in range(600):
        door.tick(now + second, is_behind=True)
    assert let_in(door, quotas, device, tenant, 1000, now + 600) == 600
    door.tick(now + 600 + SETTLED + 1, is_behind=False)
    assert let_in(door, quotas, device, tenant, 1000, now + 100_000) == BURST


def test_no_limit_and_a_limit_of_nothing():
    door, now = settled()
    assert let_in(door, Quotas(), Account(), Account(), 1000, now) == 1000
    assert let_in(door, Quotas(device_messages_per_second=0), Account(), Account(), 10, now) == 0


def test_a_device_is_told_of_once_a_minute_and_its_garbage_is_bounded():
    door, now = settled()
    device, tenant = Account(), Account()
    told = [door.tells(device, now + second) for second in range(int(3 * TELL_AGAIN))]
    assert told.count(True) == 3
    assert sum(door.letter(device, tenant, now) for _ in range(10_000)) == LETTERS_AT_ONCE
