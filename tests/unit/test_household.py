"""Which addresses are one door."""

from uuid import uuid4

import pytest

from dispatch.domain.household import address_key

HERE = uuid4()


@pytest.mark.parametrize(
    "said",
    [
        "3栋2单元501",
        "３栋２单元５０１室",
        "三栋二单元501",
        "3-2-501",
        "幸福小区3号楼2单元501户",
        "3 栋 2 单元 0501",
    ],
)
def test_one_door_has_one_key_however_it_is_written(said: str):
    assert address_key(HERE, said) == address_key(HERE, "3栋2单元501")


@pytest.mark.parametrize(
    ("one", "other"), [("3栋2单元501", "3栋2单元502"), ("十二栋301", "2栋301"), ("二十栋1", "2栋1")]
)
def test_other_doors_have_others(one: str, other: str):
    assert address_key(HERE, one) != address_key(HERE, other)


def test_what_names_no_door_has_no_key():
    assert address_key(HERE, "人民路菜场门口") is None
    assert address_key(HERE, "3栋") is None
    assert address_key(HERE, None) is None
    assert address_key(None, "3栋2单元501") is None
    assert address_key(uuid4(), "3栋2单元501") != address_key(HERE, "3栋2单元501")
