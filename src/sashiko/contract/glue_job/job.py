"""The script that Glue runs."""

import sys

from sashiko.contract.glue_job.table_load import main

if __name__ == "__main__":
    main(sys.argv[1:])
