"""`python -m prodemb.cli`, which a launcher of several processes can start."""

from prodemb.cli import main

if __name__ == "__main__":
    main()
