"""The twelve cameras of the demo town: who owns them, what they look at, which rules watch them. Data, no I/O."""

from dataclasses import dataclass
from typing import Final, Literal

WORLD: Final = (1600, 900)  # a base scene's stage, in pixels; views are cut out of it
SLUICE_ZONE: Final = ((700.0, 690.0), (1180.0, 690.0), (1290.0, 890.0), (640.0, 890.0))  # painted on the stage "road"

Backdrop = Literal["square", "road", "photo", "stand"]
Script = Literal["crowd", "intruder", "bus", "walkers", "late", "quiet", "pan", "tilt"]
Look = Literal["day", "dusk", "night", "overcast"]


@dataclass(frozen=True, slots=True)
class View:
    """A 16:9 cut of the stage: left, top and width in stage pixels."""

    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class SceneRule:
    """A rule as ``api`` stores it; ``params`` obey CrowdParams or IntrusionParams."""

    id: str
    kind: Literal["crowd", "intrusion"]
    name: str
    severity: Literal["minor", "major", "critical"]
    params: dict[str, object]


@dataclass(frozen=True, slots=True)
class SceneCamera:
    """One simulated camera. Its RTSP path is ``/<id>``."""

    id: str
    name: str
    name_en: str
    unit: str
    backdrop: Backdrop
    script: Script
    look: Look = "day"
    view: View = View(0, 0, 1600)
    mirror: bool = False
    phase: float = 0.0  # the loop starts so many seconds into the script
    rules: tuple[SceneRule, ...] = ()

    @property
    def path(self) -> str:
        """Path of the RTSP address."""
        return f"/{self.id}"


def seen(zone: tuple[tuple[float, float], ...], view: View, *, mirror: bool) -> list[list[float]]:
    """A zone of the stage as the view shows it: 0..1 of width and height, clipped to the picture."""
    height = view.width * 9 / 16
    points = []
    for x, y in zone:
        across, down = (x - view.x) / view.width, (y - view.y) / height
        across = 1 - across if mirror else across
        points.append([round(min(max(across, 0.0), 1.0), 4), round(min(max(down, 0.0), 1.0), 4)])
    return points


_SLUICE_VIEW: Final = View(180, 100, 1400)
_DEPOT_VIEW: Final = View(240, 150, 1300)

CAMERAS: Final[tuple[SceneCamera, ...]] = (
    SceneCamera(
        "cam-01", "市民广场北侧", "Civic Square North", "city", "square", "crowd", view=View(100, 60, 1480),
        rules=(
            SceneRule(
                "rule-crowd-01", "crowd", "广场人员聚集", "major", {"persons": 3, "seconds": 4.0, "confidence": 0.4}
            ),
        ),
    ),
    SceneCamera(
        "cam-02", "迎宾大道公交站", "Yingbin Avenue Bus Stop", "dept-traffic", "road", "bus", view=View(60, 30, 1500)
    ),
    SceneCamera(
        "cam-03", "青龙闸禁入区", "Qinglong Sluice Restricted Area", "dept-water", "road", "intruder",
        look="overcast", view=_SLUICE_VIEW,
        rules=(
            SceneRule(
                "rule-intrusion-03", "intrusion", "闸口禁区闯入", "critical",
                {"polygon": seen(SLUICE_ZONE, _SLUICE_VIEW, mirror=False), "confidence": 0.4},
            ),
        ),
    ),
    SceneCamera("cam-04", "云桥镇十字街口", "Yunqiao Town Crossing", "town-1", "photo", "pan"),
    SceneCamera(
        "cam-05", "体育中心南门", "Sports Centre South Gate", "dept-police", "stand", "crowd",
        view=View(60, 30, 1500), mirror=True, phase=12.0,
        rules=(
            SceneRule(
                "rule-crowd-05", "crowd", "南门人员聚集", "major", {"persons": 3, "seconds": 4.0, "confidence": 0.4}
            ),
        ),
    ),
    SceneCamera(
        "cam-06", "禾丰镇农贸市场", "Hefeng Town Market", "town-2", "square", "walkers", look="dusk",
        view=View(0, 100, 1400),
    ),
    SceneCamera(
        "cam-07", "中心医院门诊楼", "Central Hospital Outpatients", "dept-health", "square", "walkers",
        look="overcast", view=View(150, 60, 1450), mirror=True, phase=9.0,
        rules=(
            SceneRule(
                "rule-crowd-07", "crowd", "门诊排队过长", "minor", {"persons": 6, "seconds": 8.0, "confidence": 0.4}
            ),
        ),
    ),
    SceneCamera("cam-08", "石埠镇老街", "Shibu Town Old Street", "town-3", "photo", "tilt", look="dusk", mirror=True),
    SceneCamera(
        "cam-09", "梅溪村村口", "Meixi Village Gate", "village-1", "road", "quiet", look="night", view=View(0, 20, 1550)
    ),
    SceneCamera(
        "cam-10", "柳湾村文化广场", "Liuwan Village Square", "village-4", "stand", "late", look="dusk",
        view=View(0, 140, 1350), phase=5.0,
    ),
    SceneCamera(
        "cam-11", "危化品仓库外围", "Hazardous Goods Depot Perimeter", "dept-emergency", "road", "intruder",
        look="night", view=_DEPOT_VIEW, mirror=True, phase=13.0,
        rules=(
            SceneRule(
                "rule-intrusion-11", "intrusion", "仓库周界闯入", "critical",
                {"polygon": seen(SLUICE_ZONE, _DEPOT_VIEW, mirror=True), "confidence": 0.4},
            ),
        ),
    ),
    SceneCamera(
        "cam-12", "夜市街区", "Night Market Quarter", "dept-urban", "square", "late", look="dusk",
        view=View(200, 0, 1400), mirror=True,
    ),
)  # fmt: skip
