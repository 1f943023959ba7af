"""What `sashiko env cost` prints where a price is not known: no zero, and no silent sum."""

import json
from dataclasses import replace

from sashiko.account.prices import read_prices
from sashiko.packs import PackPipeline
from sashiko.pipeline.use_cost import JobCost
from sashiko_packs.operations.commands.cost import Costs, PipelineCosts, as_json, text
from sashiko_packs.operations.idle_cost import Charge, IdleCost
from tests.infra.variants import settings_of

SETTINGS = settings_of("dev")
PRICES = read_prices(SETTINGS)
PREPARE = JobCost(
    name="Prepare",
    machines="1 x ml.m5.large",
    limit_seconds=3600,
    typical_seconds=360,
    hourly=2.0,
    prices=(PRICES.instances["ml.m5.large"],),
)
TRAIN = replace(
    PREPARE,
    name="Train",
    machines="2 x ml.p5.48xlarge",
    hourly=None,
    prices=(),
    unknown=PRICES.no_price_of("ml.p5.48xlarge"),
)
KEY = Charge(stack="Lake", what="KMS key", quantity=1, price=PRICES.of("kms_key_month"))
WATCH = PackPipeline(module="watch", description="", costs="of a pack:", most_a_month=5)
ENDPOINT = Charge(stack="Serving", what="endpoint", quantity=730, price=None)


def costs(*charges: Charge, run: tuple[JobCost, ...]) -> Costs:
    return Costs(
        settings=SETTINGS,
        prices=PRICES,
        idle=IdleCost(charges=charges, instances=1, by_use={}),
        run=run,
        pipelines=(PipelineCosts(pack="watch", of=WATCH, jobs=run),),
        others=(),
        load=1,
        instance_types={},
        predictions=(),
    )


def printed(*charges: Charge, run: tuple[JobCost, ...]) -> list[str]:
    return [" ".join(line.split()) for line in text(costs(*charges, run=run))]


def test_a_sum_names_the_part_whose_price_is_unknown() -> None:
    lines = printed(KEY, ENDPOINT, run=(PREPARE, TRAIN))
    assert "Lake: KMS key 1.00" in lines
    assert "Serving: endpoint unknown" in lines
    assert "all except Serving: endpoint 1.00" in lines
    assert "Train: 2 x ml.p5.48xlarge unknown unknown" in lines
    assert "all except Train 0.20 2.00" in lines
    assert "one build of images where a deploy changes them:" in lines  # no load is its own
    assert (
        "unknown: Train: no price of ml.p5.48xlarge is known in us-east-1: give "
        "`instances.ml.p5.48xlarge` in your own file, as --prices FILE"
    ) in lines
    assert "at most in a month: 5 of them, unknown" in lines


def test_where_all_is_known_nothing_is_shown_as_unknown() -> None:
    lines = printed(KEY, run=(PREPARE,))
    assert "all of it 0.20 2.00" in lines
    assert "at most in a month: 5 of them, 10.00" in lines
    assert not any("unknown" in line for line in lines)


def test_in_json_an_unknown_amount_is_null_and_so_is_its_sum() -> None:
    values = json.loads(json.dumps(as_json(costs(KEY, ENDPOINT, run=(PREPARE, TRAIN)))))
    assert values["idle"]["lines"] == {"Lake: KMS key": 1.0, "Serving: endpoint": None}
    assert values["idle"]["monthly"] is None
    assert values["run"]["typical"] is None
    assert values["run"]["jobs"]["Train"]["at_most"] is None
    assert values["run"]["jobs"]["Train"]["unknown"].startswith("no price of ml.p5.48xlarge")
    assert values["run"]["jobs"]["Prepare"]["typical"] == 0.2
    assert values["watch"]["month_at_most"] is None
