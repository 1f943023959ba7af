"""Names the gates that closed, by commas, of `sashiko runs diff RUN RUN --json` on stdin."""

import json
import sys

lines = next(part["lines"] for part in json.load(sys.stdin) if part["part"] == "gates")
print(",".join(line["name"] for line in lines if line["left"] == "failed"))
