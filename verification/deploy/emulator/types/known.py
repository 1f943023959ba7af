"""Every type that the emulator knows; a template with any other one is refused."""

from ..engine.resources import CUSTOM, register, register_family
from . import custom_resource, flow, identity, lake, models, network, rows, storage


def load() -> None:
    for prefix in CUSTOM:
        register_family(prefix, custom_resource.CustomResource)
    for module in (flow, identity, lake, models, network, rows, storage):
        for kind in module.TYPES:
            register(kind)
