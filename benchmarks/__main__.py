"""Run every benchmark there is, one table each; the results of all go into build/benchmarks.json.

python -m benchmarks            # short: some minutes
python -m benchmarks --long
"""

from __future__ import annotations

import importlib.util
import sys

PROGRAMS = ("tenants", "ingest", "storage", "reads", "token_check", "onboarding", "pages")


def main() -> None:
    for name in PROGRAMS:
        if importlib.util.find_spec(f"benchmarks.{name}") is not None:
            importlib.import_module(f"benchmarks.{name}").main(sys.argv[1:])


if __name__ == "__main__":
    main()
