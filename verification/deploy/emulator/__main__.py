"""The emulator's process: `PYTHONPATH=verification/deploy python -m emulator --account ...`.

It prints its address and serves until its standard input ends, so that it never outlives whoever
started it.
"""

import argparse
import sys
import threading

from .server import serve


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--account", required=True)
    server = serve(parser.parse_args().account)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
