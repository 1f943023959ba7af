"""`make security-report`: the findings of the security checks in an environment's templates.

It reads the output of `cdk synth -c security-report=true` and runs checkov on it. The page goes to
stdout, and as Markdown and JSON beside the templates. It covers the bootstrap's policies too.
Exit status: 0 if each finding is explained, 4 if some are open, 1 for an error.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from sashiko.base.files import write_bytes, write_json
from sashiko.errors import InputError
from sashiko_cdk.security_report.findings import FRAMEWORK, checkov_findings, page, synth_findings

_OPEN = 4  # as `sashiko env drift`: apart from 1, an error


def main() -> int:
    """Writes the report of the folder given as argument; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sashiko_cdk.security_report")
    parser.add_argument("folder", type=Path, help="the synthesized templates, named as their env")
    parser.add_argument("--checkov", type=Path, required=True, help="checkov's executable")
    arguments = parser.parse_args()
    folders = [arguments.folder, arguments.folder / "bootstrap"]
    reports = [synth_findings(folder) for folder in folders]
    frameworks = list(dict.fromkeys(name for names, _ in reports for name in names))
    findings = [item for _, reported in reports for item in reported]
    templates = sorted(file for folder in folders for file in folder.glob("*.template.json"))
    print(f"checkov reads {len(templates)} templates", file=sys.stderr)
    findings += checkov_findings(templates, command=arguments.checkov)
    text = page(arguments.folder.name, [*frameworks, FRAMEWORK], findings)
    file = arguments.folder / "report.md"
    write_bytes(file, text.encode())
    write_json(file.with_suffix(".json"), [asdict(item) for item in findings])
    print(text)
    open_count = sum(item.is_open for item in findings)
    print(f"open findings: {open_count}; the report: {file}", file=sys.stderr)
    return _OPEN if open_count else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
