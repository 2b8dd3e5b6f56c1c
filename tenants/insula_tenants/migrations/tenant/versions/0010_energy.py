"""Meters, tariffs and emission factors."""

from alembic import op

revision = "0010"
down_revision = "0009"

SCHEMA = """
CREATE TABLE meters (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    carrier text NOT NULL CHECK (carrier IN ('electricity', 'heat', 'gas', 'water')),
    point_id integer NOT NULL UNIQUE REFERENCES points ON DELETE CASCADE,
    building_id integer REFERENCES buildings ON DELETE CASCADE,
    storey_id integer REFERENCES storeys ON DELETE CASCADE,
    space_id integer REFERENCES spaces ON DELETE CASCADE,
    equipment_id integer REFERENCES equipment ON DELETE CASCADE,
    submeter_of_id integer REFERENCES meters ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
    calorific_value double precision CHECK (calorific_value > 0),
    CHECK (num_nonnulls(building_id, storey_id, space_id, equipment_id) = 1),
    CHECK (submeter_of_id <> id)
);
CREATE INDEX meters_building ON meters (building_id);
CREATE INDEX meters_storey ON meters (storey_id);
CREATE INDEX meters_space ON meters (space_id);
CREATE INDEX meters_equipment ON meters (equipment_id);
CREATE INDEX meters_submeter_of ON meters (submeter_of_id);
COMMENT ON TABLE meters IS 'which counter measures what';
COMMENT ON COLUMN meters.building_id IS 'what it measures; as storey_id, space_id, equipment_id: one of the four';
COMMENT ON COLUMN meters.submeter_of_id IS 'the meter whose consumption takes in this one''s';
COMMENT ON COLUMN meters.calorific_value IS 'kWh per m3, of a gas meter that counts m3';

CREATE TABLE tariffs (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    carrier text NOT NULL CHECK (carrier IN ('electricity', 'heat', 'gas', 'water')),
    building_id integer REFERENCES buildings ON DELETE CASCADE,
    valid_from date NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    price double precision NOT NULL,
    periods jsonb NOT NULL DEFAULT '[]',
    standing_charge double precision NOT NULL DEFAULT 0 CHECK (standing_charge >= 0),
    UNIQUE NULLS NOT DISTINCT (carrier, building_id, valid_from)
);
CREATE INDEX tariffs_building ON tariffs (building_id);
COMMENT ON TABLE tariffs IS 'what a kWh, or a m3 of water, costs from a local day on, until the next';
COMMENT ON COLUMN tariffs.building_id IS 'the building that it is for; null: each that has none of its own';
COMMENT ON COLUMN tariffs.price IS 'of a unit, at times that no period names';
COMMENT ON COLUMN tariffs.periods IS 'local times of the week with a price of their own';
COMMENT ON COLUMN tariffs.standing_charge IS 'of each meter that is no submeter, a day';

CREATE TABLE emission_factors (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    carrier text NOT NULL CHECK (carrier IN ('electricity', 'heat', 'gas', 'water')),
    valid_from date NOT NULL,
    factor double precision NOT NULL CHECK (factor >= 0),
    source text,
    UNIQUE (carrier, valid_from)
);
COMMENT ON COLUMN emission_factors.factor IS 'kg CO2e of a kWh, or of a m3 of water';
COMMENT ON COLUMN emission_factors.source IS 'who published it';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
