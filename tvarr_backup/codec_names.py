"""The names of codecs and formats that tvarr knows, with their aliases."""

from collections.abc import Mapping

Registry = Mapping[str, tuple[str, ...]]

VIDEO_CODECS: Registry = {
    "h264": (
        "avc", "avc1", "h.264", "libx264", "h264_nvenc", "h264_qsv", "h264_vaapi", "h264_videotoolbox", "h264_amf",
        "h264_mf", "h264_omx", "h264_v4l2m2m",
    ),
    "h265": (
        "hevc", "hev1", "hvc1", "h.265", "libx265", "hevc_nvenc", "hevc_qsv", "hevc_vaapi", "hevc_videotoolbox",
        "hevc_amf", "hevc_mf", "hevc_v4l2m2m",
    ),
    "vp8": ("libvpx",),
    "vp9": ("vp09", "libvpx-vp9", "vp9_qsv", "vp9_vaapi"),
    "av1": ("av01", "libaom-av1", "libsvtav1", "librav1e", "av1_nvenc", "av1_qsv", "av1_vaapi", "av1_amf"),
    "mpeg1": ("mpeg1video",),
    "mpeg2": ("mpeg2video",),
    "mpeg4": (),
    "vc1": ("wmv3",),
    "prores": ("prores_ks",),
    "dnxhd": ("dnxhr",),
    "theora": ("libtheora",),
}  # fmt: skip
"""Video codecs with their aliases, from tvarr's runtime registry. Its shorter lists are not used."""

AUDIO_CODECS: Registry = {
    "aac": ("mp4a", "libfdk_aac", "aac_at"),
    "mp3": ("mp3float", "libmp3lame"),
    "ac3": ("ac-3", "a52", "ac3_fixed"),
    "eac3": ("ec-3",),
    "opus": ("libopus",),
    "vorbis": ("libvorbis",),
    "flac": ("libflac",),
    "dts": ("dca",),
    "truehd": ("mlp",),
    "pcm": ("pcm_s16le", "pcm_s24le", "pcm_s32le"),
}

PREFERRED_FORMATS: Registry = {
    "hls-fmp4": ("fmp4",),
    "hls-ts": ("ts",),
    "dash": (),
    "mpegts": (),
}


def find_name(name: str, registry: Registry) -> str | None:
    """Return tvarr's own name, or None for an unknown one. Spaces around it and letter case do not matter."""
    folded = name.strip().lower()
    if folded in registry:
        return folded
    return next((known for known, aliases in registry.items() if folded in aliases), None)


def is_known(name: str, registry: Registry) -> bool:
    """Return whether tvarr recognizes the name."""
    return find_name(name, registry) is not None
