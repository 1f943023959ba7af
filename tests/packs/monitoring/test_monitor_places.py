"""The places of monitoring hold what its stores are made with."""

from pathlib import Path

from sashiko.contract.load import load_contract
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import load_recipe
from sashiko_packs.monitoring.labels import create_stores
from sashiko_packs.monitoring.places import monitor_places

STORES = ("ledger", "labels", "draws", "facets", "windows")


def test_each_store_begins_with_the_file_that_its_places_name(tmp_path: Path) -> None:
    recipe = load_recipe(Path("recipes/complaints.yaml"))
    places = monitor_places(load_settings("local"), recipe)
    folders = {name: tmp_path / name for name in STORES}
    create_stores(load_contract(Path(recipe.contract)), **folders)
    made = {
        f"{getattr(places, name)}/{file.name}"
        for name, folder in folders.items()
        for file in folder.iterdir()
    }
    assert made == set(places.empty_files)
