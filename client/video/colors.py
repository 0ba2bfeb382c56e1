"""Color metadata of a video: matrix, range and transfer function.

A file without metadata is BT.709 from 720 lines up and BT.601 below, in limited range: the
convention of broadcasters, which players assume as well. Converting with the wrong matrix visibly
shifts greens and skin tones.
"""

from __future__ import annotations

from typing import NamedTuple

from av.video.frame import VideoFrame

LIMITED_RANGE, FULL_RANGE = 1, 2
"""FFmpeg's AVCOL_RANGE_MPEG and _JPEG."""

# FFmpeg's AVCOL_SPC_*, AVCOL_PRI_* and AVCOL_TRC_*, numbered as in ITU-T H.273.
_RGB, _BT709, _UNKNOWN, _FCC, _BT470BG, _SMPTE170M, _SMPTE240M = 0, 1, 2, 4, 5, 6, 7
_BT2020, _BT2020_CONSTANT = 9, 10
_PQ, _HLG = 16, 18
_HD_LINES = 720

# Numbers of the matrices in swscale (SWS_CS_*).
_CONVERSIONS = {
    _BT709: 1,
    _FCC: 4,
    _BT470BG: 5,
    _SMPTE170M: 5,
    _SMPTE240M: 7,
    _BT2020: 9,
    _BT2020_CONSTANT: 9,
}


class Colors(NamedTuple):
    """Matrix, primaries and transfer function as numbered in H.273, and FFmpeg's range."""

    matrix: int
    primaries: int
    transfer: int
    color_range: int

    @property
    def conversion(self) -> int:
        """Number of the matrix in swscale."""
        return _CONVERSIONS[self.matrix]

    @property
    def hdr(self) -> bool:
        """Whether the transfer function is for HDR displays (PQ or HLG)."""
        return self.transfer in (_PQ, _HLG)

    @property
    def written(self) -> Colors:
        """The colors to write: the same in limited range, which every player supports."""
        return self._replace(color_range=LIMITED_RANGE)


def colors_of(frame: VideoFrame) -> Colors:
    """Return the colors of a frame, with defaults for missing metadata."""
    usual = _BT709 if min(frame.height, frame.width) >= _HD_LINES else _SMPTE170M
    matrix = int(frame.colorspace)
    if matrix not in _CONVERSIONS:
        matrix = usual if matrix in (_RGB, _UNKNOWN) else _BT709
    primaries, transfer = int(frame.color_primaries), int(frame.color_trc)
    full = int(frame.color_range) == FULL_RANGE or frame.format.name.startswith("yuvj")
    return Colors(
        matrix,
        usual if primaries in (_RGB, _UNKNOWN) else primaries,
        usual if transfer in (_RGB, _UNKNOWN) else transfer,
        FULL_RANGE if full or frame.format.is_rgb else LIMITED_RANGE,
    )
