"""`python -m consort`, the same as `consort`."""

from consort.cli import main

if __name__ == "__main__":
    main()
