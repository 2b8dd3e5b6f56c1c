"""From one ingest process to several, and back."""

from __future__ import annotations

import time

import pytest

from insula_ingest.settings import IngestSettings
from tests.conftest import Deployment
from tests.ingest.conftest import RunningIngest
from tests.ingest.test_pipeline import TOPIC, Publish, dead_letters
from tests.waiting import eventually


@pytest.mark.parametrize("shares_at_first", [False, True])
def test_a_change_of_sharing_leaves_no_subscription_behind(
    devices: Deployment, ingest_settings: IngestSettings, publish: Publish, shares_at_first: bool
):
    for number, shares in enumerate((shares_at_first, not shares_at_first), 1):
        running = RunningIngest(ingest_settings.model_copy(update={"ingest_share": shares})).start()
        time.sleep(0.3)  # its packet that ends the other subscription goes out right after
        publish(TOPIC, f"garbage for {shares}".encode())  # a dead letter counts how often it came
        eventually(lambda: dead_letters(devices, devices.acme))
        publish(TOPIC, f"the end of {shares}".encode())
        eventually(lambda: len(dead_letters(devices, devices.acme)) == 2 * number)  # noqa: B023 - used at once
        running.stop()
    assert [letter.times for letter in dead_letters(devices, devices.acme)] == [1, 1, 1, 1]
