"""How the readings of a bucket become one value, in SQL over items: readings, or rows of a rollup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, LiteralString

Aggregate = Literal[
    "mean", "min", "max", "sum", "count", "first", "last", "time_weighted_mean", "consumption"
]


@dataclass(frozen=True, slots=True)
class Simple:
    """An aggregate that needs the items of a bucket and no others."""

    of_items: LiteralString
    """A bucket's value, of all its items (`aggregated.sql`)."""
    of_item: LiteralString
    """The same where the bucket has one item (`whole.sql`)."""


SIMPLE: dict[Aggregate, Simple] = {
    "mean": Simple("sum(sum) / sum(count)", "sum / count"),
    "min": Simple("min(min)", "min"),
    "max": Simple("max(max)", "max"),
    "sum": Simple("sum(sum)", "sum"),
    "count": Simple("sum(count)", "count"),
    "first": Simple("(array_agg(first ORDER BY first_time))[1]", "first"),
    "last": Simple("(array_agg(last ORDER BY last_time DESC))[1]", "last"),
}


@dataclass(frozen=True, slots=True)
class Flow:
    """An aggregate of what flows over time, and so also between one bucket and the next (`spread.sql`)."""

    within: LiteralString
    """The amount between an item's first and last reading."""
    between: LiteralString
    """The amount between an item's last reading and the next item's first."""
    value: LiteralString
    """A bucket's value, of its parts' amounts and seconds."""
    after: LiteralString
    """The statement that gives the item after the last bucket."""
    unfit: LiteralString = "false"
    """Whether an item cannot tell its amount."""


FLOWS: dict[Aggregate, Flow] = {
    # A value holds until the next reading, the last one to the end.
    "time_weighted_mean": Flow(
        within="area",
        between="last * date_part('epoch', next_time - last_time)",
        value="sum(amount) / sum(seconds)",
        after="held",
    ),
    # A meter's readings joined by lines. A fall to less than half is its register's end where that is known
    # and near, else a new beginning at zero; a smaller drop corrects what was read before.
    "consumption": Flow(
        within="""
            last - first + CASE WHEN fall_count = 0 THEN 0 ELSE (
                SELECT coalesce(sum(CASE WHEN fall.previous > rollover_at / 2 THEN rollover_at
                                         ELSE fall.previous END), 0)
                FROM unnest(falls) WITH ORDINALITY AS fall (previous, place)
                WHERE mod(fall.place, 2) = 1
            ) END""",
        between="""
            CASE WHEN last > 0 AND next < last / 2
                 THEN CASE WHEN last > rollover_at / 2 THEN rollover_at - last + next ELSE next END
                 ELSE next - last END""",
        value="sum(amount)",
        after="after",
        unfit="fall_count > 4",
    ),
}
