from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sashiko.run_report.lineage import place


@st.composite
def graphs(draw):
    names = [f"n{number}" for number in range(draw(st.integers(1, 12)))]
    pairs = [(a, b) for at, b in enumerate(names) for a in names[:at]]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return names, edges


@given(graphs())
@settings(max_examples=50, deadline=None)
def test_nodes_never_overlap_and_arrows_point_down(graph):
    names, edges = graph
    placed = place(names, edges)
    for a, b in pairwise(sorted(placed.nodes.values(), key=lambda point: (point.row, point.x))):
        assert a.row != b.row or b.x - a.x >= 1 - 1e-6
    for points in placed.arrows.values():
        assert all(b.row == a.row + 1 for a, b in pairwise(points))
    assert all(0.5 - 1e-6 <= p.x <= placed.width - 0.5 + 1e-6 for p in placed.nodes.values())
    reachable = {end for _, end in placed.arrows}
    assert reachable == {end for _, end in edges}
    assert place(names, edges) == placed
