"""Changes values in a YAML text and leaves every other character as it is."""

from collections.abc import Mapping

import yaml

from sashiko.base.yaml_models import deep_merge
from sashiko.base.yaml_text import YamlError, parse_yaml


def set_in_section(text: str, section: str, values: Mapping[str, str]) -> str:
    """Returns a YAML text with keys of one top-level section set.

    The parser says where the values stand; only those characters are replaced. Keys that the
    section lacks are added to it, and a missing section is added at the end.

    Args:
        text: the YAML.
        section: the top-level key.
        values: key -> the value as YAML, such as `true`.

    Raises:
        YamlError: if the text is not valid YAML, or the section is written in a way that cannot be
            changed without a change elsewhere: an anchor, an alias, a merge key, no mapping.
    """
    old = parse_yaml(text)
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise YamlError("there is no mapping at the top")
    newline = "\r\n" if "\r\n" in text else "\n"
    node = next((value for key, value in root.value if key.value == section), None)
    if isinstance(node, yaml.MappingNode):
        new = text
        present = {key.value: value for key, value in node.value}
        missing = [f"{key}: {value}" for key, value in values.items() if key not in present]
        edits = []  # start, end, and what replaces the characters between
        for key in values.keys() & present.keys():
            start, end = present[key].start_mark.index, present[key].end_mark.index
            # A key without a value ends at its colon.
            edits.append((start, end, values[key] if end > start else f" {values[key]}"))
        if missing and node.flow_style:
            last = node.value[-1][1].end_mark.index if node.value else node.end_mark.index - 1
            edits.append((last, last, (", " if node.value else "") + ", ".join(missing)))
        elif missing:
            first = node.value[0][0].start_mark
            indent = newline + " " * first.column
            edits.append((first.index, first.index, indent.join([*missing, ""])))
        for start, end, value in sorted(edits, reverse=True):
            new = new[:start] + value + new[end:]
    else:
        pairs = ", ".join(f"{key}: {value}" for key, value in values.items())
        gap = "" if not text or text.endswith("\n") else newline
        new = f"{text}{gap}{section}: {{{pairs}}}{newline}"
    try:
        result = parse_yaml(new)
    except YamlError:
        result = None
    if result != deep_merge(old, {section: {k: parse_yaml(v) for k, v in values.items()}}):
        raise YamlError(
            f"`{section}` cannot be changed alone: it is no plain mapping of its own (an anchor or "
            "an alias?)"
        )
    return new
