"""`python -m insula_platform` is `insula`."""

from insula_platform.cli import main

if __name__ == "__main__":
    main()
