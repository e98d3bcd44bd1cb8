"""Which addresses are one door (peers.md §5.3, 77)."""

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
        "三栋二单元五零一",
        "第三栋第二单元五百零一室",
        "3-2-501",
        "3—2—501室",
        "3#2-501",
        "3栋2-501室",
        "幸福小区3号楼2单元501户",
        "3 栋 2 单元 0501",
        "3号2单元501",
        "3楼2单元501",
        "3号楼2门501",
        "幸福路18号3栋2单元501室",
        "幸福路18号 3-2-501",
        "五一路十八号院三号楼二单元五零一",
        "三八小区3栋2单元5楼501",
        "3栋2单元501（5楼）",
        "幸福小区(一期)3栋2单元501",
        "3栋2单元501 电话13800001111",
        "3-2-501 0734-8866123",
        "2026年搬来，3栋2单元501号",
        "3栋2单元501-1",
    ],
)
def test_one_door_has_one_key_however_it_is_written(said: str):
    assert address_key(HERE, said) == address_key(HERE, "3栋2单元501")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3栋2单元501", "3栋2单元502"),
        ("十二栋301", "2栋301"),
        ("二十栋1", "2栋1"),
        ("三栋二单元五零一", "三栋二单元五零二"),
        ("A座1203", "B座1203"),
        ("3号楼A座1203", "3号楼B座1203"),
        ("3栋2单元501A", "3栋2单元501B"),
        ("幸福路18号501室", "幸福路20号501室"),
        ("18弄3号501室", "18弄4号501室"),
        ("3栋2单元5楼", "3栋2单元6楼"),
        ("3组12号", "4组12号"),
    ],
)
def test_other_doors_have_others(one: str, other: str):
    assert address_key(HERE, one) != address_key(HERE, other)


def test_what_names_no_door_has_no_key():
    for said in ("人民路菜场门口", "3栋", "3栋2单元", "幸福路18号", "", None):
        assert address_key(HERE, said) is None
    assert address_key(None, "3栋2单元501") is None
    assert address_key(uuid4(), "3栋2单元501") != address_key(HERE, "3栋2单元501")
