"""What the fake platform answers about analytics: figures that are always the same, of rooms that it has.

Acme has everything: comfort, use (a measured, a counted, an inferred and a never used room), two electricity
meters and a heat meter, problems and findings. The others have less: what is missing is a case as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.analytics_ui.fake_building import Answer
from tests.analytics_ui.fake_energy import FakeEnergy
from tests.analytics_ui.fake_quality import FakeQuality
from tests.analytics_ui.fake_rooms import FakeRooms


class FakeAnalytics(FakeRooms, FakeEnergy, FakeQuality):
    """The analytics of one building."""

    def answer(self, path: str, query: Mapping[str, str]) -> Answer:
        """The answer at `path` beneath the tenant's analytics, and its meters."""
        name = path.replace("/", "_").replace("-", "_")
        answer: Answer = getattr(self, f"_{name}")(query)
        return answer
