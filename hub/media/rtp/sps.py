"""What the bits of H.264 and H.265 say without decoding: picture size, profile, order, kind of slice (7.3 of both)."""

from dataclasses import dataclass
from typing import Final

WITH_CHROMA: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
MAX_SIDE: Final = 16_384


class Bits:
    """A bit reader (7.2, 9.1). Every method raises ValueError at the end of the data."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def u(self, count: int) -> int:
        """An unsigned number of ``count`` bits."""
        if count > self._left:
            raise ValueError("the data ends early")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def ue(self) -> int:
        """An unsigned Exp-Golomb number."""
        zeros = 0
        while self.u(1) == 0:
            zeros += 1
            if zeros > 32:
                raise ValueError("the Exp-Golomb code is too long")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """A signed Exp-Golomb number."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


@dataclass(frozen=True, slots=True)
class SequenceParameters:
    """Of one SPS: profile_idc, the size in pixels after cropping, its id.

    ``reorder`` is how many pictures may precede another in decoding and follow it in showing, ``None`` when that is
    not said; ``depth`` the bits of a sample of brightness.
    """

    profile: int
    width: int
    height: int
    reorder: int | None = None
    id: int = 0
    depth: int = 8


def raw(nal: bytes) -> bytes:
    """A NAL unit's payload without emulation prevention bytes (7.4.1)."""
    return nal[1:].replace(b"\0\0\3", b"\0\0")


def slice_type(nal: bytes) -> int:
    """slice_type modulo 5 of a slice NAL unit: 0 P, 1 B, 2 I (7.3.3, 7.4.3); -1 when it is cut off."""
    bits = Bits(raw(nal[:16]))
    try:
        bits.ue()  # first_mb_in_slice
        return bits.ue() % 5
    except ValueError:
        return -1


def parse_sps(nal: bytes) -> SequenceParameters:
    """Read an SPS NAL unit (7.3.2.1.1). Raises ValueError when it is cut off or makes no sense."""
    if len(nal) < 4 or nal[0] & 0x1F != 7:
        raise ValueError("not a sequence parameter set")
    bits = Bits(raw(nal[:512]))
    profile = bits.u(8)
    bits.u(16)  # constraint flags, level_idc
    id = bits.ue()  # seq_parameter_set_id
    chroma = 1
    if profile in WITH_CHROMA:
        chroma = _skip_chroma(bits)
    bits.ue()  # log2_max_frame_num_minus4
    _skip_order_count(bits)
    bits.ue()  # max_num_ref_frames
    bits.u(1)
    columns, rows = bits.ue() + 1, bits.ue() + 1
    frames_only = bits.u(1)
    if not frames_only:
        bits.u(1)
    bits.u(1)  # direct_8x8_inference_flag
    width, height = columns * 16, rows * 16 * (2 - frames_only)
    if bits.u(1):  # frame_cropping_flag, units of 7.4.2.1.1
        unit_x = 2 if chroma in (1, 2) else 1
        unit_y = (2 if chroma == 1 else 1) * (2 - frames_only)
        left, right, top, bottom = (bits.ue() for _ in range(4))
        width, height = width - unit_x * (left + right), height - unit_y * (top + bottom)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise ValueError("the size makes no sense")
    return SequenceParameters(profile, width, height, _reorder(bits), id)


def parse_sps_h265(nal: bytes) -> SequenceParameters:
    """Read an SPS NAL unit of H.265 (7.3.2.2.1). Raises ValueError when it is cut off or makes no sense."""
    if len(nal) < 4 or nal[0] >> 1 & 0x3F != 33:
        raise ValueError("not a sequence parameter set")
    bits = Bits(raw(nal[1:512]))
    bits.u(4)  # sps_video_parameter_set_id
    sub_layers = bits.u(3)
    bits.u(1)
    profile = _profile_tier_level(bits, sub_layers)
    id = bits.ue()
    chroma = bits.ue()
    if chroma > 3 or id > 15:
        raise ValueError("the parameter set makes no sense")
    if chroma == 3:
        bits.u(1)
    width, height = bits.ue(), bits.ue()
    if bits.u(1):  # conformance_window_flag, units of table 6-1
        unit_x, unit_y = 2 if chroma in (1, 2) else 1, 2 if chroma == 1 else 1
        left, right, top, bottom = (bits.ue() for _ in range(4))
        width, height = width - unit_x * (left + right), height - unit_y * (top + bottom)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise ValueError("the size makes no sense")
    depth = bits.ue() + 8
    bits.ue(), bits.ue()  # depth of chroma, log2_max_pic_order_cnt_lsb_minus4
    reorder = 0
    for _ in range(sub_layers + 1 if bits.u(1) else 1):  # sps_sub_layer_ordering_info_present_flag
        bits.ue()
        reorder = bits.ue()  # of the highest sub-layer in the end
        bits.ue()
    return SequenceParameters(profile, width, height, reorder, id, depth)


def _profile_tier_level(bits: Bits, sub_layers: int) -> int:
    """general_profile_idc (H.265 7.3.3)."""
    bits.u(3)
    profile = bits.u(5)
    bits.u(32 + 48 + 8)  # compatibility and constraint flags, level
    present = [(bits.u(1), bits.u(1)) for _ in range(sub_layers)]
    if sub_layers:
        bits.u(2 * (8 - sub_layers))
    for with_profile, with_level in present:
        bits.u(88 * with_profile + 8 * with_level)
    return profile


def _reorder(bits: Bits) -> int | None:
    """max_num_reorder_frames behind the cropping (H.264 annex E.1.1); ``None`` when it is not said."""
    try:
        if not bits.u(1) or not _skip_to_restriction(bits):
            return None
        bits.u(1)
        for _ in range(4):
            bits.ue()
        return bits.ue()
    except ValueError:
        return None


def _skip_to_restriction(bits: Bits) -> int:
    """From the VUI's beginning behind bitstream_restriction_flag; returns the flag."""
    if bits.u(1) and bits.u(8) == 255:
        bits.u(32)
    if bits.u(1):
        bits.u(1)
    if bits.u(1):
        bits.u(4)
        if bits.u(1):
            bits.u(24)
    if bits.u(1):
        bits.ue(), bits.ue()
    if bits.u(1):
        bits.u(65)
    hrd = False
    for _ in range(2):
        if bits.u(1):
            hrd = True
            count = bits.ue() + 1
            if count > 32:
                raise ValueError("the buffer count makes no sense")
            bits.u(8)
            for _ in range(count):
                bits.ue(), bits.ue(), bits.u(1)
            bits.u(20)
    if hrd:
        bits.u(1)
    bits.u(1)
    return bits.u(1)


def _skip_chroma(bits: Bits) -> int:
    """From chroma_format_idc to the scaling lists; returns chroma_format_idc."""
    chroma = bits.ue()
    if chroma == 3:
        bits.u(1)
    bits.ue(), bits.ue()  # bit depths
    bits.u(1)
    if bits.u(1):
        for index in range(12 if chroma == 3 else 8):
            if bits.u(1):
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return chroma


def _skip_scaling_list(bits: Bits, size: int) -> None:
    """7.3.2.1.1.1."""
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _skip_order_count(bits: Bits) -> None:
    kind = bits.ue()
    if kind == 0:
        bits.ue()
    elif kind == 1:
        bits.u(1)
        bits.se(), bits.se()
        cycle = bits.ue()
        if cycle > 255:
            raise ValueError("the order count cycle makes no sense")
        for _ in range(cycle):
            bits.se()
