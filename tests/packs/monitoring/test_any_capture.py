"""Whatever a captured folder holds, the good records in it are read."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from sashiko_packs.monitoring.capture.reading import read_captures
from tests.packs.monitoring.captures import (
    COLUMNS,
    DAY,
    adds_up,
    answer,
    event,
    one,
    request,
    write,
)
from tests.unit.hostile import bounded

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["inputs", "ids", "data", "encoding", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
SIDES = st.fixed_dictionaries(
    {},
    optional={
        "data": st.sampled_from([request(["a"]), answer([0.5]), "", "[", "eyI="]) | VALUES,
        "encoding": st.sampled_from(["JSON", "BASE64", "CSV"]) | VALUES,
    },
)
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "captureData": st.fixed_dictionaries(
            {}, optional={"endpointInput": SIDES | VALUES, "endpointOutput": SIDES | VALUES}
        )
        | VALUES,
        "eventMetadata": st.fixed_dictionaries(
            {},
            optional={
                "eventId": st.sampled_from([event("q"), event("r")]) | VALUES,
                "inferenceTime": st.sampled_from(["2026-03-09T12:00:00Z", "9999", ""]) | VALUES,
            },
        )
        | VALUES,
    },
)


@settings(bounded, max_examples=60)
@given(
    bad=st.lists(
        st.binary(max_size=60).map(lambda line: line.replace(b"\n", b""))
        | RECORDS
        | st.integers(0, 400).map(lambda end: json.dumps(one("cut")).encode()[:end]),
        max_size=6,
    )
)
def test_whatever_lines_there_are_the_good_ones_are_read_and_the_others_counted(
    tmp_path_factory, bad
) -> None:
    folder = tmp_path_factory.mktemp("any")
    write(folder, [one("a"), *bad, one("b")])
    out = folder / "rows.parquet"
    summary = read_captures(folder, out, window=DAY, now=DAY.end, columns=COLUMNS, has_texts=True)
    keys = pq.read_table(out, columns=["key"])["key"]
    assert pa.compute.is_in(pa.array(["a", "b"]), keys).to_pylist() == [True, True]
    assert adds_up(summary)
