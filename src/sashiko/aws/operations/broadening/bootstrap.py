"""What CloudFormation must be allowed before a deploy: a person's `make bootstrap`, no deploy's."""

from collections.abc import Iterator, Mapping

from sashiko.aws.operations.broadening.compare import Template
from sashiko.aws.operations.broadening.grants import Grant, documents, grants


def lacking(deployed: Mapping[str, Template], new: Mapping[str, Template]) -> tuple[str, ...]:
    """Returns what the bootstrap's policies would allow CloudFormation that they do not yet.

    They are compared as one: which of them holds a statement changes with their sizes.

    Args:
        deployed: name -> template of the bootstrap's stack, if it exists.
        new: name -> the same, as the templates of the environment need it.
    """
    known: dict[str, list[Grant]] = {}
    for grant in _of_cloudformation(deployed):
        known.setdefault(grant.action, []).append(grant)
    return tuple(
        str(grant)
        for grant in _of_cloudformation(new)
        if not any(other.covers(grant) for other in known.get(grant.action, ()))
    )


def _of_cloudformation(stacks: Mapping[str, Template]) -> Iterator[Grant]:
    for template in stacks.values():
        for resource in template.get("Resources", {}).values():
            properties = resource.get("Properties", {})
            if "-execution-" in properties.get("ManagedPolicyName", ""):
                for document in documents(properties):
                    yield from grants(document)
