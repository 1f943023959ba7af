import pytest

from tests.unit.contract.documents import contract_of, document


@pytest.fixture
def contract(tmp_path):
    return contract_of(document(), tmp_path)
