"""The settings that a client detection rule can assign, in their normal form."""

from collections.abc import Iterable, Mapping

from tvarr_backup.codec_names import AUDIO_CODECS, PREFERRED_FORMATS, VIDEO_CODECS, Registry, find_name
from tvarr_backup.expressions.assignments import Assignment

SETTINGS: Mapping[str, Registry] = {
    "preferred_video_codec": VIDEO_CODECS,
    "preferred_audio_codec": AUDIO_CODECS,
    "preferred_format": PREFERRED_FORMATS,
}


def find_honored(assignments: Iterable[Assignment]) -> dict[str, str]:
    """Return the assigned settings that take effect. An unknown or empty value gives way to the rule's own column."""
    assigned = {assignment.target: assignment.value for assignment in assignments}
    names = {setting: find_name(assigned.get(setting, ""), registry) for setting, registry in SETTINGS.items()}
    return {setting: name for setting, name in names.items() if name}
