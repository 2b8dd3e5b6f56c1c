"""Analyses that run in the background, and what they found."""

from alembic import op

revision = "0011"
down_revision = "0010"

SCHEMA = """
CREATE TABLE analyses (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'abandoned')),
    reason text NOT NULL CHECK (reason IN ('schedule', 'request')),
    until timestamptz NOT NULL,
    points integer NOT NULL CHECK (points >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz
);
CREATE UNIQUE INDEX analyses_open ON analyses ((true)) WHERE state IN ('waiting', 'running');
COMMENT ON TABLE analyses IS 'looks at all points of the tenant, one at a time';
COMMENT ON COLUMN analyses.key IS 'the id in URLs';
COMMENT ON COLUMN analyses.until IS 'readings before it count: a full hour';

CREATE TABLE analysis_slices (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    analysis_id bigint NOT NULL REFERENCES analyses ON DELETE CASCADE,
    number integer NOT NULL,
    points integer[] NOT NULL,
    done integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    starts integer NOT NULL DEFAULT 0,
    started_at timestamptz,
    ended_at timestamptz,
    error text,
    UNIQUE (analysis_id, number)
);
COMMENT ON TABLE analysis_slices IS 'points that one job of the worker looks at';
COMMENT ON COLUMN analysis_slices.done IS 'of its points, the first so many are through';
COMMENT ON COLUMN analysis_slices.failed IS 'of those, how many could not be analysed';
COMMENT ON COLUMN analysis_slices.starts IS 'how often a job began since a point was through';

CREATE TABLE forecasts (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    point_id integer NOT NULL UNIQUE REFERENCES points ON DELETE CASCADE,
    made_at timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL CHECK (state IN ('ready', 'too_short', 'silent')),
    until timestamptz NOT NULL,
    hours_expected integer NOT NULL,
    hours_present integer NOT NULL,
    model text CHECK (model IN ('ridge', 'seasonal_naive')),
    level double precision,
    expected double precision[],
    lower double precision[],
    upper double precision[],
    naive double precision[],
    backtest jsonb,
    CHECK ((state = 'ready') = (model IS NOT NULL AND expected IS NOT NULL AND naive IS NOT NULL))
);
COMMENT ON TABLE forecasts IS 'the newest forecast of each point, hour by hour from `until` on; each analysis overwrites it';
COMMENT ON COLUMN forecasts.hours_expected IS 'hours of the history that it rests on, and how many of them have a value';
COMMENT ON COLUMN forecasts.level IS 'share of values that are to lie between lower and upper';

CREATE TABLE findings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    point_id integer NOT NULL REFERENCES points ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('unusual', 'stuck', 'flat', 'drifting')),
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    basis text NOT NULL CHECK (basis IN ('forecast', 'past', 'neighbours')),
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    seen_at timestamptz NOT NULL,
    value double precision NOT NULL,
    expected_low double precision,
    expected_high double precision,
    per_day double precision,
    CHECK (closed_at >= opened_at)
);
CREATE UNIQUE INDEX findings_open ON findings (point_id, kind) WHERE closed_at IS NULL;
CREATE INDEX findings_point ON findings (point_id, kind, opened_at);
CREATE INDEX findings_closed ON findings (closed_at);
COMMENT ON TABLE findings IS 'what analyses noticed about points; a condition that lasts is one row';
COMMENT ON COLUMN findings.basis IS 'what the expected range comes from';
COMMENT ON COLUMN findings.seen_at IS 'the evidence reaches from opened_at until then';
COMMENT ON COLUMN findings.value IS 'in the unit of the point; of what is unusual, the most unusual one';
COMMENT ON COLUMN findings.per_day IS 'of a drift: its slope';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
