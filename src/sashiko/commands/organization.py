"""`sashiko organization`: policies for the AWS organization that holds the project's accounts."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def organization(
    id_: Annotated[
        str, typer.Argument(metavar="ID", help="The organization's id, such as o-exampleorgid.")
    ],
    folder: Annotated[Path, typer.Option("--folder", help="Where the files are written.")] = Path(
        "organization"
    ),
) -> None:
    """Write the service and resource control policies that fit the environments in config/.

    They deny what the project itself never does, to everybody in its accounts. A person attaches
    them in the management account, where nothing of the project runs: docs/organization.md.
    """
    from sashiko.aws.operations.organization.accounts import read_accounts
    from sashiko.aws.operations.organization.policies import organization_policies
    from sashiko.core.files import write_bytes

    accounts = read_accounts(id_)
    policies = organization_policies(accounts)
    texts = {folder / f"{policy.name}.json": policy.text() for policy in policies}
    folder.mkdir(parents=True, exist_ok=True)
    for (file, text), policy in zip(texts.items(), policies, strict=True):
        write_bytes(file, text.encode())
        typer.echo(f"{file}  {policy.kind}  {len(text):,} characters: {policy.purpose}")
    places = ", ".join(f"{place.account} ({place.environment})" for place in accounts.places)
    print(f"for: {places}; attach them as docs/organization.md says", file=sys.stderr)
