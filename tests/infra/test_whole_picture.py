"""The picture of the whole shows what the templates say."""

import json

from docs.whole import PICTURE, whole_picture


def test_the_picture_is_current(templates):
    assert PICTURE.read_text() == whole_picture(templates("serving")), "run `make docs`"


def test_an_arrow_goes_with_what_it_stands_for(templates):
    """Without the rule of loaded versions nothing leads from the Glue job to the pipeline."""
    stacks = json.loads(json.dumps(templates("serving")))
    resources = stacks["Pipeline"]["Resources"]
    [rule] = [
        name
        for name, resource in resources.items()
        if resource["Properties"].get("Name") == "sashiko-dev-complaints-loaded"
    ]
    del resources[rule]
    arrow = "Glue job etl-complaints to state machine start-complaints"
    assert arrow in whole_picture(templates("serving"))
    assert arrow not in whole_picture(stacks)
