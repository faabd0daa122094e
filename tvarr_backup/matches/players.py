"""Requests of common players, for counting which ones a client detection rule matches.

The user agents have the forms that these players send. A request asks for a channel of a proxy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_TARGET = "/proxy/01KARCVCYV06XFZC2MR82AYR37/01KAEHXEGJ5GMS392SP1ZYMK50"


@dataclass(frozen=True, slots=True)
class Player:
    """A player and the headers of its requests."""

    name: str
    user_agent: str
    headers: tuple[tuple[str, str], ...] = ()

    def as_request(self) -> dict[str, Any]:
        """Return the request as the row of a client detection rule (`expressions/requests.py`)."""
        return {
            "id": self.name,
            "method": "GET",
            "url": _TARGET,
            "host": "tvarr.example:8080",
            "remote_addr": "192.0.2.10:51000",
            "headers": [["User-Agent", self.user_agent], *(list(pair) for pair in self.headers)],
        }


_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"

PLAYERS = (
    Player("VLC", "VLC/3.0.20 LibVLC/3.0.20"),
    Player("Kodi", "Kodi/21.0 (X11; Linux x86_64) App_Bitness/64 Version/21.0-(21.0.0)-Git:20240406-60c4500054"),
    Player("Kodi on Android TV", "Kodi/21.0 (Linux; Android 11; SHIELD Android TV) Version/21.0-(21.0.0)"),
    Player("TiviMate", "TiviMate/4.7.0 (Linux; Android 11)"),
    Player("IPTV Smarters Pro", "IPTVSmartersPro/3.1.5"),
    Player("OTT Navigator", "OTT Navigator/1.7.1.4 (Linux; Android 11)"),
    Player("MX Player", "MXPlayer/1.47.5 (Linux; Android 13) ExoPlayerLib/2.18.1"),
    Player("ExoPlayer on Android", "ExampleApp/1.0 (Linux; Android 13) ExoPlayerLib/2.18.1"),
    Player("OkHttp on Android", "okhttp/4.12.0"),
    Player("Plex Media Server", "PlexMediaServer/1.40.2.8395"),
    Player("Plex transcoder", "Lavf/LPMS-60.16.100 Plex"),
    Player("Jellyfin", "Jellyfin-Server/10.9.7"),
    Player("Emby", "Emby/4.8.8.0"),
    Player("FFmpeg", "Lavf/60.16.100"),
    Player("mpv", "mpv 0.38.0"),
    Player("GStreamer", "GStreamer souphttpsrc 1.22.0 libsoup/3.2.2"),
    Player("Apple TV", "AppleCoreMedia/1.0.0.20L563 (Apple TV; U; CPU OS 16_5 like Mac OS X; en_us)"),
    Player("Apple TV, named", "AppleTV11,1/16.5 tvOS/16.5"),
    Player("iPhone, system player", "AppleCoreMedia/1.0.0.21G72 (iPhone; U; CPU OS 17_6 like Mac OS X; en_us)"),
    Player(
        "Safari on iPhone",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 "
        "Mobile/15E148 Safari/604.1",
    ),
    Player(
        "Safari on Mac",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/605.1.15",
    ),
    Player("Chrome", f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/126.0.0.0 Safari/537.36"),
    Player("Chrome on Android", f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/126.0.0.0 Mobile Safari/537.36"),
    Player("Edge", f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0"),
    Player("Firefox", "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"),
    Player(
        "Chromecast with Google TV",
        f"Mozilla/5.0 (Linux; Android 12.0; Build/STTL.240206.002) {_WEBKIT} Chrome/115.0.0.0 Safari/537.36 CrKey/1.56.500000 "
        "DeviceType/AndroidTV",
    ),
    Player("Fire TV", f"Mozilla/5.0 (Linux; Android 9; AFTKA) {_WEBKIT} Chrome/110.0.5481.154 Mobile Safari/537.36"),
    Player("Roku", "Roku/DVP-13.0 (13.0.0.4152-C0)"),
    Player(
        "Samsung TV",
        "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.5) AppleWebKit/537.36 (KHTML, like Gecko) 85.0.4183.93/6.5 TV Safari/537.36",
    ),
    Player(
        "LG TV",
        f"Mozilla/5.0 (Web0S; Linux/SmartTV) {_WEBKIT} Chrome/94.0.4606.128 Safari/537.36 webOS.TV-2023 WebAppManager",
    ),
    Player(
        "Player that names its codecs",
        f"Mozilla/5.0 (X11; Linux x86_64) {_WEBKIT} Chrome/126.0.0.0 Safari/537.36",
        (("X-Video-Codec", "h264"), ("X-Audio-Codec", "aac"), ("X-Container", "hls-ts")),
    ),
)
