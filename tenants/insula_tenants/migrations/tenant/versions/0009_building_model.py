"""The building model: what spaces are like, zones, equipment, and points as a model names them."""

from alembic import op

revision = "0009"
down_revision = "0008"

SCHEMA = """
ALTER TABLE sites
    ADD iri text UNIQUE,
    ADD latitude double precision CHECK (latitude BETWEEN -90 AND 90),
    ADD longitude double precision CHECK (longitude BETWEEN -180 AND 180);
ALTER TABLE buildings
    ADD iri text UNIQUE,
    ADD brick_class text NOT NULL DEFAULT 'Building',
    ADD area double precision CHECK (area > 0);
ALTER TABLE storeys
    ADD iri text UNIQUE,
    ADD brick_class text NOT NULL DEFAULT 'Storey';
ALTER TABLE spaces
    ADD iri text UNIQUE,
    ADD brick_class text NOT NULL DEFAULT 'Room',
    ADD area double precision CHECK (area > 0),
    ADD capacity integer CHECK (capacity >= 0),
    ADD comfort_category text CHECK (comfort_category IN ('I', 'II', 'III', 'IV'));
COMMENT ON COLUMN sites.iri IS 'its name in Brick graphs; null: one made of its id';
COMMENT ON COLUMN buildings.area IS 'gross floor area, m2';
COMMENT ON COLUMN spaces.area IS 'net floor area, m2';
COMMENT ON COLUMN spaces.comfort_category IS 'of EN 16798-1; null: II';

CREATE TABLE zones (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    iri text UNIQUE,
    name text NOT NULL,
    brick_class text NOT NULL DEFAULT 'Zone'
);
CREATE TABLE zone_spaces (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    zone_id integer NOT NULL REFERENCES zones ON DELETE CASCADE,
    space_id integer NOT NULL REFERENCES spaces ON DELETE CASCADE,
    UNIQUE (zone_id, space_id)
);
CREATE INDEX zone_spaces_space ON zone_spaces (space_id);
COMMENT ON TABLE zones IS 'spaces that are treated alike, such as an HVAC zone; they cut across storeys';

CREATE TABLE equipment (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    iri text UNIQUE,
    name text NOT NULL,
    brick_class text NOT NULL DEFAULT 'Equipment',
    part_of_id integer REFERENCES equipment ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
    building_id integer REFERENCES buildings ON DELETE CASCADE,
    storey_id integer REFERENCES storeys ON DELETE SET NULL,
    space_id integer REFERENCES spaces ON DELETE SET NULL,
    zone_id integer REFERENCES zones ON DELETE SET NULL,
    CHECK (num_nonnulls(building_id, storey_id, space_id, zone_id) <= 1)
);
CREATE INDEX equipment_part_of ON equipment (part_of_id);
CREATE INDEX equipment_building ON equipment (building_id);
CREATE INDEX equipment_storey ON equipment (storey_id);
CREATE INDEX equipment_space ON equipment (space_id);
CREATE INDEX equipment_zone ON equipment (zone_id);
COMMENT ON TABLE equipment IS 'what stands in buildings and does something, such as an AHU; a device that publishes is in devices';
COMMENT ON COLUMN equipment.building_id IS 'where it stands, when no more is known; as storey_id, space_id, zone_id: one of the four at most';

CREATE TABLE equipment_feeds (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    equipment_id integer NOT NULL REFERENCES equipment ON DELETE CASCADE,
    fed_equipment_id integer REFERENCES equipment ON DELETE CASCADE,
    fed_space_id integer REFERENCES spaces ON DELETE CASCADE,
    fed_zone_id integer REFERENCES zones ON DELETE CASCADE,
    CHECK (num_nonnulls(fed_equipment_id, fed_space_id, fed_zone_id) = 1),
    UNIQUE NULLS NOT DISTINCT (equipment_id, fed_equipment_id, fed_space_id, fed_zone_id)
);
CREATE INDEX equipment_feeds_equipment ON equipment_feeds (fed_equipment_id);
CREATE INDEX equipment_feeds_space ON equipment_feeds (fed_space_id);
CREATE INDEX equipment_feeds_zone ON equipment_feeds (fed_zone_id);

CREATE TABLE model_points (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    iri text UNIQUE,
    name text NOT NULL,
    brick_class text NOT NULL DEFAULT 'Point',
    unit text,
    building_id integer REFERENCES buildings ON DELETE CASCADE,
    storey_id integer REFERENCES storeys ON DELETE CASCADE,
    space_id integer REFERENCES spaces ON DELETE CASCADE,
    zone_id integer REFERENCES zones ON DELETE CASCADE,
    equipment_id integer REFERENCES equipment ON DELETE CASCADE,
    point_id integer UNIQUE REFERENCES points ON DELETE SET NULL,
    CHECK (num_nonnulls(building_id, storey_id, space_id, zone_id, equipment_id) <= 1)
);
CREATE INDEX model_points_building ON model_points (building_id);
CREATE INDEX model_points_storey ON model_points (storey_id);
CREATE INDEX model_points_space ON model_points (space_id);
CREATE INDEX model_points_zone ON model_points (zone_id);
CREATE INDEX model_points_equipment ON model_points (equipment_id);
COMMENT ON TABLE model_points IS 'points as the building model names them, what they tell about, and which device''s point brings their values';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
