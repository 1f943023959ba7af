"""Reads the statements about images, which the function that has them built writes."""

from collections.abc import Iterable

from sashiko.base.aws_calls import Clients
from sashiko.registry.attestation import statement_key
from sashiko.registry.model_packages.clients import translate_errors


def read_image_statements(
    clients: Clients, images: Iterable[str], *, bucket: str
) -> dict[str, bytes]:
    """Returns image URI -> statement, of the images that have one.

    AWS's own images have none, nor has an image that was built before statements were written.

    Raises:
        InputError: if S3 refuses.
    """
    statements = {}
    for image in images:
        key = statement_key(image)
        with translate_errors(f"read s3://{bucket}/{key}"):
            # A missing object is a denied one to a role that may list no more than its prefix.
            objects = clients.s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", ())
            if any(item["Key"] == key for item in objects):
                body = clients.s3.get_object(Bucket=bucket, Key=key)["Body"]
                statements[image] = bytes(body.read())
    return statements
