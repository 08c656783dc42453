"""Decoding, mending, refusing, writing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.gb28181 import manscdp, xml
from signaling.gb28181.errors import GbError
from signaling.gb28181.messages import Catalog, DeviceInfo, DeviceStatus, Keepalive, Message

CORPUS = Path(__file__).parents[2] / "corpus" / "gb28181"
NAME = "迎宾大道㐀公交站"  # 㐀 is in GB18030, not in GB2312


def name_of(body: bytes) -> str:
    return xml.parse(body).get("Name")


@pytest.mark.parametrize(
    "declared",
    [
        '<?xml version="1.0" encoding="GB2312"?>',
        "<?xml version='1.0' encoding='gb2312'?>",
        '<?xml version="1.0" encoding="UTF-8" ?>',
        '<?xml version="1.0"?>',
        "",
        "\r\n ",
    ],
)
@pytest.mark.parametrize("really", ["gb18030", "utf-8", "utf-8-sig"])
def test_quirk_2_a_body_is_read_by_what_it_is_and_not_by_what_it_declares(declared: str, really: str) -> None:
    """QUIRKS 2; the byte order mark too."""
    assert name_of(f"{declared}<Notify><Name>{NAME}</Name></Notify>".encode(really)) == NAME


def test_quirk_2_a_name_cut_in_the_middle_of_a_character_spoils_no_other() -> None:
    """QUIRKS 2: devices cut names by bytes."""
    cut = "市民广场".encode()[:-1]
    root = xml.parse(b"<R><Name>" + cut + b"</Name><Address>" + "人民路一号".encode() + b"</Address></R>")
    assert root.get("Address") == "人民路一号"
    assert root.get("Name").startswith("市民广")
    root = xml.parse(
        b"<R><Name>" + "市民广场".encode("gbk")[:-1] + b"</Name><A>" + "人民路".encode("gbk") + b"</A></R>"
    )
    assert (root.get("Name")[:3], root.get("A")) == ("市民广", "人民路")


def test_quirk_2_a_device_can_be_told_apart_by_hand() -> None:
    """What is valid UTF-8 by chance can be forced to GB18030."""
    by_chance = "牛".encode() + b"<"
    assert xml.decode(by_chance, "gb18030") != xml.decode(by_chance, "utf-8") == "牛<"


@pytest.mark.parametrize("charset", ["gb18030", "utf-8"])
@pytest.mark.parametrize(
    "raw",
    [
        "A&B",
        "3<5号楼",
        "A<B路口",
        "a < b & c",
        "x<y>z",
        "<<",
        "&nbsp;广场",
        "AT&T &amp; co".replace("&amp;", "&"),
        "5>3",
    ],
)
def test_quirk_3_raw_ampersands_and_angles_in_names_are_mended(raw: str, charset: str) -> None:
    """QUIRKS 3."""
    body = f"<Response><Item><Name>{raw}</Name><Address>{raw}</Address><Status>ON</Status></Item></Response>"
    item = xml.parse(body.encode(charset)).child("item")
    assert item is not None
    assert (item.get("Name"), item.get("Address"), item.get("Status")) == (raw, raw, "ON")


def test_quirk_3_tags_match_without_regard_to_case() -> None:
    """QUIRKS 3: also the end tag and attributes."""
    body = b"<notify><cmdtype>keepalive</CmdType><Sn>7</SN><deviceID>1</DEVICEID><STATUS>OK</Status></Notify>"
    assert manscdp.parse(body) == Keepalive(sn=7, device="1", status="OK")


def test_an_element_that_nothing_closes_loses_no_other() -> None:
    item = xml.parse(b"<R><Item><Name>gate<Status>ON</Status></Item><Item><Status>OFF</Status></Item></R>")
    assert [each.get("Status") for each in item.every("item")] == ["ON", "OFF"]


@pytest.mark.parametrize("tail", [b"\0\0\0", b"\r\n\r\n", b" "])
def test_padding_behind_the_body_is_no_error(tail: bytes) -> None:
    assert xml.parse(b"<R><A>1</A></R>" + tail).get("a") == "1"


BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'
EXTERNAL = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (BOMB, "gb28181.xml_forbidden"),
        (EXTERNAL, "gb28181.xml_forbidden"),
        (b"<!DOCTYPE a><a/>", "gb28181.xml_forbidden"),
        (b"<a>" * 17 + b"</a>" * 17, "gb28181.xml_bounds"),
        (b"<a>" + b"<b/>" * xml.MAX_NODES + b"</a>", "gb28181.xml_bounds"),
        (b"<a>" + b"x" * xml.MAX_BODY + b"</a>", "gb28181.xml_bounds"),
        (b"", "gb28181.xml"),
        (b"hello", "gb28181.xml"),
        (b"<a>", "gb28181.xml"),
        (b"<a/><b/>", "gb28181.xml"),
        (b"<!--" * 1_000, "gb28181.xml"),
    ],
)
def test_bombs_foreign_entities_and_nonsense_get_a_named_error(body: bytes, code: str) -> None:
    with pytest.raises(GbError) as refused:
        xml.parse(body)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "piece", [b"<!--", b"<![CDATA[", b"<?", b"<a", b"<a>", b"</a>", b"&", b"<", b"&amp;", b"<a b='"]
)
def test_a_mebibyte_of_beginnings_costs_no_square(piece: bytes) -> None:
    """It comes back at all: with a square this would take hours."""
    body = b"<Notify><Name>" + piece * (900_000 // len(piece)) + b"</Name></Notify>"
    try:
        xml.parse(body)
    except GbError as error:
        if error.code not in ("gb28181.xml", "gb28181.xml_bounds"):
            raise


@given(st.binary(max_size=400))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    try:
        manscdp.parse(body)
    except GbError:
        return


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co")), max_size=60).map(
    lambda text: " ".join(text.split())
)


@given(_TEXT, st.sampled_from(["gb18030", "utf-8"]))
def test_what_is_written_is_read_back(name: str, charset: str) -> None:
    message = DeviceInfo(sn=1, device="34020000001110000001", name=name, model="<&>'\"")
    body = manscdp.write(message, "gb18030" if charset == "gb18030" else "utf-8")
    assert manscdp.parse(body, "gb18030" if charset == "gb18030" else "utf-8") == message


def test_gb18030_is_declared_as_gb2312() -> None:
    """What the standard names and devices expect."""
    assert manscdp.write(Keepalive(sn=1, device="1")).startswith(b'<?xml version="1.0" encoding="GB2312"?>\r\n<Notify>')
    assert b'encoding="UTF-8"' in manscdp.write(Keepalive(sn=1, device="1"), "utf-8")


@pytest.mark.parametrize(
    ("file", "made"),
    [("26060_Catalog.xml", Catalog), ("26060_DeviceInfo.xml", DeviceInfo), ("26060_DeviceStatus.xml", DeviceStatus),
     ("26070_Catalog.xml", Catalog)],
)  # fmt: skip
def test_bodies_of_two_public_simulators_are_read(file: str, made: type[Message]) -> None:
    message = manscdp.parse((CORPUS / file).read_bytes())
    assert isinstance(message, made)
    if isinstance(message, Catalog):
        assert message.total == len(message.items)
        assert all(item.status for item in message.items)
        assert message.items[0].id in ("11010100001320000007", "34020000001320000101")


@pytest.mark.parametrize("file", sorted(CORPUS.glob("*.xml")), ids=lambda path: path.name)
def test_cut_bodies_are_parsed_or_refused_at_every_length(file: Path) -> None:
    body = file.read_bytes()
    for length in range(len(body)):
        try:
            manscdp.parse(body[:length])
        except GbError:
            continue
