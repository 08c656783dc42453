"""What cameras do that no standard says, each with a name: tolerated where it is listed, and noted when it shows."""

from enum import StrEnum
from typing import Final


class Quirk(StrEnum):
    """One deviation. The value is what logs and administrators see."""

    RESYNC = "bytes_between_frames"  # bytes that are neither message nor frame are skipped
    NO_CSEQ = "no_cseq"  # an answer without CSeq, or with a wrong one, belongs to the oldest request
    OTHER_CHANNELS = "other_channels"  # the device chooses other interleaved channels than those asked for
    FOREIGN_AUTHORITY = "foreign_authority"  # its URLs name another host: only their paths are used
    NO_OPTIONS = "no_options"  # it refuses OPTIONS and plays all the same
    NO_RANGE = "no_range"  # it refuses PLAY with a Range: asked again without
    NO_GET_PARAMETER = "no_get_parameter"  # it lists GET_PARAMETER and refuses it: OPTIONS keeps the session alive
    NO_SESSION = "no_session"  # its SETUP answers without a Session
    BAD_SDP_LINES = "bad_sdp_lines"  # lines of the description that are no lines of SDP are left out
    TCP_ON_UDP_LINE = "transport_without_tcp"  # it answers RTP/AVP with interleaved channels and means TCP


TOLERANT: Final = frozenset(Quirk)
STRICT: Final[frozenset[Quirk]] = frozenset()
