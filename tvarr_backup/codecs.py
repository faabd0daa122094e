"""The codecs of encoding profiles, and the hardware that tvarr knows."""

from django.db.models import TextChoices


class TargetVideoCodec(TextChoices):
    H264 = "h264", "H.264"
    H265 = "h265", "H.265"
    VP9 = "vp9", "VP9"
    AV1 = "av1", "AV1"


class TargetAudioCodec(TextChoices):
    AAC = "aac", "AAC"
    OPUS = "opus", "Opus"
    AC3 = "ac3", "AC-3"
    EAC3 = "eac3", "E-AC-3"
    MP3 = "mp3", "MP3"


class QualityPreset(TextChoices):
    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"
    ULTRA = "ultra", "Ultra"


class HardwareAcceleration(TextChoices):
    AUTO = "auto", "Automatic"
    NONE = "none", "None"
    CUDA = "cuda", "CUDA"
    QSV = "qsv", "Quick Sync"
    VAAPI = "vaapi", "VA-API"
    VIDEOTOOLBOX = "videotoolbox", "VideoToolbox"
