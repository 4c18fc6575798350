"""The colours of circuits, one set for each theme.

Hues are those of Okabe and Ito, pale for areas: blue-green for what is learned, vermilion for what
a mask shows, grey, yellow, violet and blue for frames by turns; of wires, vermilion for what is in
shared memory and blue-green for what is in registers. Nothing is told by colour alone:
learned operations have bold outlines, and every pictogram has a shape of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..options import Theme


@dataclass(frozen=True, slots=True)
class Colours:
    """Colours as `#rrggbb`; nested frames take turns in `frames`."""

    paper: str
    ink: str
    muted: str
    box: str
    learned: str
    norm: str
    pill: str
    reindex: str
    visible: str
    masked: str
    frames: tuple[str, ...]
    frame_border: str
    shared: str
    registers: str


LIGHT = Colours(
    paper="#ffffff",
    ink="#15181c",
    muted="#4a525c",
    box="#ffffff",
    learned="#dcece6",
    norm="#eaf6f8",
    pill="#ffffff",
    reindex="#d6e9f8",
    visible="#f7cfd3",
    masked="#7f858c",
    frames=("#f4f4f1", "#f5f2cf", "#dfe1f6", "#d9eff8"),
    frame_border="#9a9e92",
    shared="#c25400",
    registers="#00806a",
)

DARK = Colours(
    paper="#15191f",
    ink="#eceff3",
    muted="#b9c1ca",
    box="#272d36",
    learned="#1f4a43",
    norm="#1d3d49",
    pill="#272d36",
    reindex="#0e3f63",
    visible="#7a3a45",
    masked="#a2abb5",
    frames=("#1c2128", "#2c2a1a", "#24263c", "#17303d"),
    frame_border="#6b7280",
    shared="#f2a24b",
    registers="#3ecfa8",
)


def colours(theme: Theme) -> Colours:
    """The colours of a theme."""
    return DARK if theme == "dark" else LIGHT
