"""Dead letters that are processed again, and how many were dropped to keep the rest within their bounds."""

from alembic import op

revision = "0005"
down_revision = "0004"

SCHEMA = """
ALTER TABLE dead_letters
    ADD COLUMN replay_requested_at timestamptz,
    ADD COLUMN replays integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN dead_letters.replay_requested_at IS 'ingest is to process it again; null when it need not';
COMMENT ON COLUMN dead_letters.replays IS 'how often that was done, and it could not be stored again';
CREATE INDEX dead_letters_replay ON dead_letters (id) WHERE replay_requested_at IS NOT NULL;

CREATE TABLE dead_letter_drops (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    letters bigint NOT NULL DEFAULT 0,
    last_dropped_at timestamptz
);
COMMENT ON TABLE dead_letter_drops IS 'dead letters that went because there were too many: the oldest go first';
INSERT INTO dead_letter_drops DEFAULT VALUES;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
