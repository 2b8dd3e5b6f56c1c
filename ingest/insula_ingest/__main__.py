"""`python -m insula_ingest`: the ingest service."""

import logging

from insula_ingest.service import run

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # an outage is one line, and it is ours
    run()
