"""Parts of the demo's scenes, cut out of the pictures that the ultralytics wheel ships: people, a bus, backdrops."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from hub.demo.cameras_list import SLUICE_ZONE, WORLD, Backdrop, Look
from hub.domain.errors import Unavailable

Picture: TypeAlias = npt.NDArray[np.uint8]

# Outlines in pixels of bus.jpg (810 x 1080), traced by hand; edges are refined by GrabCut within 4 pixels.
_COAT: Final = (
    (109, 423), (107, 407), (117, 401), (132, 399), (147, 400), (158, 407), (157, 423), (157, 438), (153, 456),
    (147, 469), (152, 480), (167, 488), (178, 503), (183, 523), (190, 542), (200, 565), (202, 580), (198, 596),
    (186, 603), (192, 634), (193, 680), (190, 690), (178, 691), (171, 697), (178, 734), (186, 765), (198, 819),
    (203, 851), (213, 861), (238, 873), (246, 880), (244, 888), (223, 893), (180, 897), (177, 892), (178, 869),
    (173, 834), (161, 792), (147, 734), (138, 711), (130, 702), (117, 703), (115, 734), (103, 773), (90, 819),
    (86, 851), (96, 865), (106, 879), (107, 894), (101, 900), (77, 892), (55, 882), (53, 873), (63, 857),
    (66, 830), (80, 785), (82, 734), (84, 704), (61, 697), (63, 657), (69, 611), (63, 573), (63, 538), (69, 503),
    (80, 488), (96, 477), (101, 465), (103, 451),
)  # fmt: skip
_DARK: Final = (
    (265, 432), (264, 418), (272, 410), (285, 407), (299, 410), (305, 420), (307, 435), (307, 451), (302, 462),
    (297, 470), (300, 478), (320, 489), (331, 501), (335, 520), (341, 547), (340, 558), (330, 566), (322, 572),
    (323, 593), (330, 624), (336, 670), (339, 693), (341, 708), (337, 724), (320, 751), (300, 778), (294, 792),
    (299, 812), (297, 820), (287, 820), (291, 835), (293, 847), (285, 857), (270, 856), (258, 847), (258, 832),
    (254, 808), (253, 778), (251, 739), (247, 708), (227, 699), (230, 685), (235, 647), (243, 601), (240, 585),
    (243, 547), (239, 532), (240, 512), (256, 497), (262, 482), (276, 478), (271, 466), (267, 451),
)  # fmt: skip
_BUS: Final = (
    (38, 345), (48, 305), (75, 275), (110, 255), (165, 238), (215, 232), (380, 240), (600, 256), (720, 275),
    (742, 302), (790, 325), (800, 360), (803, 480), (795, 600), (768, 640), (745, 668), (715, 672), (690, 652),
    (560, 664), (405, 692), (372, 702), (355, 728), (328, 732), (310, 716), (185, 722), (65, 706), (30, 640),
    (22, 540), (28, 430),
)  # fmt: skip
_IN_FRONT_OF_BUS: Final = (
    ((700, 560), (722, 540), (760, 500), (785, 440), (786, 400), (809, 390), (809, 880), (660, 880)),
    ((425, 655), (462, 655), (462, 765), (425, 765)),
    ((656, 620), (692, 620), (692, 718), (656, 718)),
    ((0, 540), (30, 560), (85, 760), (85, 880), (0, 880)),
)
_TINTS: Final = {"coat": (0, 95, 172), "dark": (0, 60, 120)}  # turns of the hue, of 180


@dataclass(frozen=True, slots=True)
class Sprite:
    """A cut-out: colours already multiplied by ``alpha`` (float, 0..255), alpha 0..1 with one channel."""

    colour: npt.NDArray[np.float32]
    alpha: npt.NDArray[np.float32]

    def sized(self, height: float, *, mirror: bool) -> "Sprite":
        """The same at another height in pixels."""
        factor = height / self.alpha.shape[0]
        size = (max(2, round(self.alpha.shape[1] * factor)), max(2, round(height)))
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        colour, alpha = (
            cv2.resize(self.colour, size, interpolation=how),
            cv2.resize(self.alpha, size, interpolation=how),
        )
        if mirror:
            colour, alpha = cv2.flip(colour, 1), cv2.flip(alpha, 1)
        return Sprite(np.asarray(colour, np.float32), np.asarray(alpha, np.float32)[..., None])


def asset(name: str) -> Picture:
    """A picture of the ultralytics wheel, found without importing the package. Raises Unavailable."""
    spec = importlib.util.find_spec("ultralytics")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    picture = cv2.imread(str(Path(folders[0]) / "assets" / name)) if folders else None
    if picture is None:
        raise Unavailable("demo.no_assets", f"the picture {name} of the ultralytics package cannot be read")
    return np.asarray(picture, np.uint8)


def look_of(picture: Picture, look: Look) -> Picture:
    """The same picture by day, at dusk, by night (infrared, grey) or under clouds."""
    grey = np.array([[0.114, 0.587, 0.299]] * 3)
    matrix = {
        "day": np.eye(3),
        "dusk": np.diag([0.72, 0.7, 0.8]),
        "night": grey * 0.72,
        "overcast": 0.45 * grey + 0.5 * np.eye(3),
    }[look]
    return np.asarray(cv2.transform(picture, matrix), np.uint8)


def _outlined(street: Picture, outline: tuple[tuple[int, int], ...], *, refine: bool) -> tuple[Picture, Picture]:
    """Cut of the outline's rectangle and its mask (0..255)."""
    points = np.array(outline, np.int32)
    x, y, width, height = cv2.boundingRect(points)
    left, top = max(0, x - 8), max(0, y - 8)
    cut = street[top : y + height + 8, left : x + width + 8].copy()
    inside = np.zeros(cut.shape[:2], np.uint8)
    cv2.fillPoly(inside, [points - [left, top]], (1,))
    if refine:
        band = np.ones((9, 9), np.uint8)
        sure, maybe = cv2.erode(inside, band), cv2.dilate(inside, band)
        mask = np.where(sure == 1, 1, np.where(inside == 1, 3, np.where(maybe == 1, 2, 0))).astype(np.uint8)
        cv2.setRNGSeed(1)
        cv2.grabCut(cut, mask, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
        inside = ((mask == 1) | (mask == 3)).astype(np.uint8)
    return cut, np.asarray(cv2.medianBlur(inside * 255, 5), np.uint8)


def _sprite(cut: Picture, mask: Picture) -> Sprite:
    soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (5, 5), 0)
    alpha = np.clip((soft - 0.4) / 0.5, 0, 1).astype(np.float32)
    rows, columns = np.flatnonzero(alpha.max(axis=1) > 0.1), np.flatnonzero(alpha.max(axis=0) > 0.1)
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Sprite((cut.astype(np.float32) * alpha[..., None])[box], alpha[box])


def _tinted(cut: Picture, figure: str, turn: int) -> Picture:
    """Other clothes: the hue of the coat (or of trousers and shirt) is turned; skin and shoes stay."""
    if turn == 0:
        return cut
    hsv = cv2.cvtColor(cut, cv2.COLOR_BGR2HSV)
    hue, saturation = hsv[..., 0].astype(np.int32), hsv[..., 1].astype(np.int32)
    rows = np.arange(cut.shape[0])[:, None] / cut.shape[0]
    if figure == "coat":
        cloth = (rows > 0.17) & (rows < 0.64) & (saturation < 120)
        saturation = saturation + 25
    else:
        cloth = (rows > 0.17) & (((hue > 85) & (hue < 135)) | ((saturation > 165) & ((hue > 165) | (hue < 6))))
        saturation = saturation // 2
    hsv[..., 0] = np.where(cloth, (hue + turn) % 180, hsv[..., 0])
    hsv[..., 1] = np.where(cloth, np.clip(saturation, 0, 255), hsv[..., 1])
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)


def person(street: Picture, figure: str, tint: int, look: Look) -> Sprite:
    """One of the two men of bus.jpg, in clothes of another colour if ``tint`` is not 0."""
    cut, mask = _outlined(street, _COAT if figure == "coat" else _DARK, refine=True)
    return _sprite(look_of(_tinted(cut, figure, _TINTS[figure][tint]), look), mask)


def bus(street: Picture, look: Look) -> Sprite:
    """The bus without the people in front of it: what they hid is painted in the colours of its bands."""
    whole = street.copy()
    hidden = np.zeros(street.shape[:2], np.uint8)
    for outline in (_COAT, _DARK, *_IN_FRONT_OF_BUS):
        cv2.fillPoly(hidden, [np.array(outline, np.int32)], (255,))
    hidden = np.asarray(cv2.dilate(hidden, np.ones((9, 9), np.uint8)), np.uint8)
    bands = street.copy()
    across = np.arange(street.shape[1])
    sill, skirt = np.where(across < 390, 553, 522), np.where(across < 390, 668, 640)
    down = np.arange(street.shape[0])[:, None]
    bands[down < sill] = (44, 40, 38)
    bands[(down >= sill) & (down < skirt)] = (176, 92, 22)
    bands[down >= skirt] = (112, 116, 118)
    for middle, size in (((343, 664), (30, 62)), ((722, 622), (32, 54))):
        cv2.ellipse(bands, middle, size, 0, 0, 360, (34, 34, 34), -1)
        cv2.ellipse(bands, middle, (size[0] // 2, size[1] // 2), 0, 0, 360, (150, 88, 40), -1)
    blend = cv2.GaussianBlur(hidden, (0, 0), 3).astype(np.float32)[..., None] / 255
    whole = (whole * (1 - blend) + cv2.GaussianBlur(bands, (0, 0), 2) * blend).astype(np.uint8)
    cut, mask = _outlined(whole, _BUS, refine=False)
    return _sprite(look_of(cut, look), mask)


def _ground(street: Picture, height: int) -> Picture:
    paving = street[908:1078, :806]
    wide = cv2.resize(paving, (WORLD[0], height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.addWeighted(wide, 0.55, cv2.GaussianBlur(wide, (0, 0), 25), 0.45, 0), np.uint8)


def _road(stage: Picture) -> None:
    """Asphalt, a dashed line and a kerb between the houses and the pavement."""
    noise = np.random.default_rng(7).normal(0, 5, (130, WORLD[0], 1))
    stage[425:555] = np.clip(np.array([88, 88, 90]) + noise, 0, 255).astype(np.uint8)
    for x in range(0, WORLD[0], 160):
        cv2.rectangle(stage, (x, 482), (x + 80, 487), (205, 208, 210), -1)
    cv2.rectangle(stage, (0, 552), (WORLD[0], 562), (168, 172, 176), -1)


def _forbidden_zone(stage: Picture) -> None:
    """The hatched zone that nobody may enter."""
    zone = np.array(SLUICE_ZONE, np.int32)
    inside = np.zeros(stage.shape[:2], np.uint8)
    cv2.fillPoly(inside, [zone], (255,))
    stripes = stage.copy()
    for x in range(300, 1700, 60):
        cv2.line(stripes, (x, 680), (x - 210, 890), (60, 190, 235), 10, cv2.LINE_AA)
    mixed = cv2.addWeighted(stage, 0.45, stripes, 0.55, 0)
    stage[inside > 0] = mixed[inside > 0]
    cv2.polylines(stage, [zone], True, (60, 200, 240), 6, cv2.LINE_AA)


def _turf(height: int) -> Picture:
    noise = np.random.default_rng(11).normal(0, 9, (height, WORLD[0], 1))
    shade = np.linspace(0.8, 1.15, height)[:, None, None]
    return np.clip(np.array([62, 118, 84]) * shade + cv2.GaussianBlur(noise, (3, 3), 0)[..., None], 0, 255).astype(
        np.uint8
    )


def backdrop(street: Picture, kind: Backdrop, look: Look, *, zone: bool = False) -> Picture:
    """A stage of WORLD's size, with the forbidden zone if asked; ``photo`` is the street picture itself."""
    if kind == "photo":
        return look_of(street, look)
    stage = np.zeros((WORLD[1], WORLD[0], 3), np.uint8)
    if kind == "stand":
        stand = asset("zidane.jpg")[0:200, 0:860]
        stage[:430] = cv2.resize(stand, (WORLD[0], 430), interpolation=cv2.INTER_CUBIC)
        stage[418:430] = (150, 150, 150)
        stage[430:] = _turf(WORLD[1] - 430)
    else:
        stage[:450] = cv2.resize(street[0:228], (WORLD[0], 450), interpolation=cv2.INTER_CUBIC)
        stage[450:] = _ground(street, WORLD[1] - 450)
        cv2.rectangle(stage, (0, 446), (WORLD[0], 462), (150, 152, 156), -1)
    if kind == "road":
        _road(stage)
    if zone:
        _forbidden_zone(stage)
    return look_of(stage, look)
