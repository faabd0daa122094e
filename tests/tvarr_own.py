"""Builds a database as tvarr's own migrations make it (facts about its schema after migration 029), with rows in it."""

import random
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

WRITTEN = "2026-03-01 10:00:00.123456789-05:00"
"""A time in the form in which tvarr writes it on a machine in New York."""

SOURCE_ID = "01KAEHXEGJ5GMS392SP1ZYMK50"
GUIDE_ID = "01KAG1670EETGMFNE8ZZTPA792"
FILTER_ID = "01KA31S5HE6Q4M3D68ZS9W6CVM"
PROFILE_ID = "01KA76QY6YWKD31Y7P8TK95Q27"
RULE_ID = "01KA0XPY0MFQAZ2HQWQPSXBNWV"
MAPPING_ID = "01KADSVJKCJK2MZWQCQJET2R0K"
PROXY_ID = "01KARCVCYV06XFZC2MR82AYR37"

_COLUMNS = {
    "schema_migrations": (
        "version TEXT NOT NULL",
        "description TEXT NOT NULL",
        "applied_at datetime NOT NULL",
    ),
    "filters": (
        "name TEXT NOT NULL",
        "description TEXT",
        "source_type TEXT NOT NULL",
        'action TEXT NOT NULL DEFAULT "include"',
        "expression TEXT NOT NULL",
        "is_system numeric DEFAULT false",
        "source_id varchar(26)",
    ),
    "data_mapping_rules": (
        "name TEXT NOT NULL",
        "description TEXT",
        "source_type TEXT NOT NULL",
        "expression TEXT NOT NULL",
        "priority INTEGER DEFAULT 0",
        "stop_on_match numeric DEFAULT false",
        "is_enabled numeric DEFAULT true",
        "is_system numeric DEFAULT false",
        "source_id varchar(26)",
    ),
    "client_detection_rules": (
        "name TEXT NOT NULL",
        "description TEXT",
        "expression TEXT NOT NULL",
        "priority INTEGER DEFAULT 0",
        "is_enabled numeric DEFAULT true",
        "is_system numeric DEFAULT false",
        "accepted_video_codecs TEXT",
        "accepted_audio_codecs TEXT",
        "preferred_video_codec TEXT",
        "preferred_audio_codec TEXT",
        "supports_fmp4 numeric DEFAULT true",
        "supports_mpegts numeric DEFAULT true",
        "preferred_format TEXT",
        "encoding_profile_id varchar(26)",
    ),
    "encoding_profiles": (
        "name TEXT NOT NULL",
        "description TEXT",
        'target_video_codec TEXT DEFAULT "h264"',
        'target_audio_codec TEXT DEFAULT "aac"',
        'quality_preset TEXT DEFAULT "medium"',
        'hw_accel TEXT DEFAULT "auto"',
        "global_flags TEXT",
        "input_flags TEXT",
        "output_flags TEXT",
        "is_default numeric DEFAULT false",
        "is_system numeric DEFAULT false",
        "enabled numeric DEFAULT true",
    ),
    "stream_sources": (
        "name TEXT NOT NULL",
        "type TEXT NOT NULL",
        "url TEXT NOT NULL",
        "username TEXT",
        "password TEXT",
        "user_agent TEXT",
        "enabled numeric DEFAULT true",
        "priority INTEGER DEFAULT 0",
        "max_concurrent_streams INTEGER DEFAULT 1",
        'status TEXT NOT NULL DEFAULT "pending"',
        "last_ingestion_at datetime",
        "last_error TEXT",
        "channel_count INTEGER DEFAULT 0",
        "cron_schedule TEXT",
    ),
    "epg_sources": (
        "name TEXT NOT NULL",
        "type TEXT NOT NULL",
        "url TEXT NOT NULL",
        "username TEXT",
        "password TEXT",
        'api_method TEXT DEFAULT "stream_id"',
        "user_agent TEXT",
        "detected_timezone TEXT",
        "epg_shift INTEGER DEFAULT 0",
        "auto_shift_timezone TEXT",
        "enabled numeric DEFAULT true",
        "priority INTEGER DEFAULT 0",
        'status TEXT NOT NULL DEFAULT "pending"',
        "last_ingestion_at datetime",
        "last_error TEXT",
        "program_count INTEGER DEFAULT 0",
        "cron_schedule TEXT",
        "retention_days INTEGER DEFAULT 1",
        "source_timezone VARCHAR(50)",
        "timezone_offset_minutes INTEGER DEFAULT 0",
    ),
    "channels": (
        "source_id varchar(26) NOT NULL",
        "ext_id TEXT",
        "tvg_id TEXT",
        "tvg_name TEXT",
        "tvg_logo TEXT",
        "group_title TEXT",
        "channel_name TEXT NOT NULL",
        "channel_number INTEGER DEFAULT 0",
        "stream_url TEXT NOT NULL",
        "stream_type TEXT",
        "language TEXT",
        "country TEXT",
        "is_adult numeric DEFAULT false",
        "extra TEXT",
    ),
    "epg_programs": (
        "source_id varchar(26) NOT NULL",
        "channel_id TEXT NOT NULL",
        "start datetime NOT NULL",
        "stop datetime NOT NULL",
        "title TEXT NOT NULL",
        "sub_title TEXT",
        "description TEXT",
        "category TEXT",
        "icon TEXT",
        "episode_num TEXT",
        "rating TEXT",
        "language TEXT",
        "is_new numeric DEFAULT false",
        "is_premiere numeric DEFAULT false",
        "is_live numeric DEFAULT false",
        "previously_shown numeric DEFAULT false",
        "date TEXT",
        "star_rating TEXT",
        "season_number INTEGER DEFAULT 0",
        "episode_number INTEGER DEFAULT 0",
        "program_id TEXT",
        "credits TEXT",
    ),
    "stream_proxies": (
        "name TEXT NOT NULL",
        "description TEXT",
        'proxy_mode TEXT NOT NULL DEFAULT "direct"',
        "is_active numeric DEFAULT true",
        "auto_regenerate numeric DEFAULT false",
        "starting_channel_number INTEGER DEFAULT 1",
        'numbering_mode TEXT NOT NULL DEFAULT "preserve"',
        "group_numbering_size INTEGER DEFAULT 100",
        "upstream_timeout INTEGER DEFAULT 30",
        "buffer_size INTEGER DEFAULT 8192",
        "max_concurrent_streams INTEGER DEFAULT 0",
        "hls_collapse numeric DEFAULT false",
        "cache_channel_logos numeric DEFAULT false",
        "cache_program_logos numeric DEFAULT false",
        "encoding_profile_id varchar(26)",
        "output_path TEXT",
        'status TEXT NOT NULL DEFAULT "pending"',
        "last_generated_at datetime",
        "last_error TEXT",
        "channel_count INTEGER DEFAULT 0",
        "program_count INTEGER DEFAULT 0",
        "cron_schedule TEXT",
    ),
    "proxy_sources": (
        "proxy_id varchar(26) NOT NULL",
        "source_id varchar(26) NOT NULL",
        "priority INTEGER DEFAULT 0",
    ),
    "proxy_epg_sources": (
        "proxy_id varchar(26) NOT NULL",
        "epg_source_id varchar(26) NOT NULL",
        "priority INTEGER DEFAULT 0",
    ),
    "proxy_filters": (
        "proxy_id varchar(26) NOT NULL",
        "filter_id varchar(26) NOT NULL",
        "priority INTEGER DEFAULT 0",
        "is_active numeric DEFAULT true",
    ),
    "proxy_mapping_rules": (
        "proxy_id varchar(26) NOT NULL",
        "mapping_rule_id varchar(26) NOT NULL",
        "priority INTEGER DEFAULT 0",
    ),
    "backup_settings": (
        "enabled numeric DEFAULT null",
        "cron TEXT",
        "retention INTEGER DEFAULT null",
    ),
}

_FOREIGN_KEYS = {
    "channels": "FOREIGN KEY (source_id) REFERENCES stream_sources(id) ON DELETE CASCADE",
    "epg_programs": "FOREIGN KEY (source_id) REFERENCES epg_sources(id)",
    "proxy_sources": "FOREIGN KEY (proxy_id) REFERENCES stream_proxies(id) ON DELETE CASCADE, "
    "FOREIGN KEY (source_id) REFERENCES stream_sources(id)",
    "proxy_epg_sources": "FOREIGN KEY (proxy_id) REFERENCES stream_proxies(id) ON DELETE CASCADE, "
    "FOREIGN KEY (epg_source_id) REFERENCES epg_sources(id)",
    "proxy_filters": "FOREIGN KEY (proxy_id) REFERENCES stream_proxies(id) ON DELETE CASCADE, "
    "FOREIGN KEY (filter_id) REFERENCES filters(id)",
    "proxy_mapping_rules": "FOREIGN KEY (proxy_id) REFERENCES stream_proxies(id) ON DELETE CASCADE",
    "client_detection_rules": "FOREIGN KEY (encoding_profile_id) REFERENCES encoding_profiles(id)",
}

_INDEXES = (
    ("UNIQUE ", "idx_schema_migrations_version", "schema_migrations", "version"),
    ("UNIQUE ", "idx_stream_sources_name", "stream_sources", "name"),
    ("", "idx_channels_group_title", "channels", "group_title"),
    ("", "idx_channels_tvg_id", "channels", "tvg_id"),
    ("UNIQUE ", "idx_source_ext_id", "channels", "source_id, ext_id"),
    ("", "idx_channels_source_id", "channels", "source_id"),
    ("UNIQUE ", "idx_epg_sources_name", "epg_sources", "name"),
    ("", "idx_epg_programs_category", "epg_programs", "category"),
    ("", "idx_epg_programs_stop", "epg_programs", "stop"),
    ("", "idx_channel_time", "epg_programs", "channel_id, start"),
    ("UNIQUE ", "idx_program_unique", "epg_programs", "source_id, channel_id, start"),
    ("UNIQUE ", "idx_stream_proxies_name", "stream_proxies", "name"),
    ("UNIQUE ", "idx_proxy_source", "proxy_sources", "proxy_id, source_id"),
    ("UNIQUE ", "idx_proxy_epg_source", "proxy_epg_sources", "proxy_id, epg_source_id"),
    ("", "idx_filters_source_id", "filters", "source_id"),
    ("", "idx_filters_source_type", "filters", "source_type"),
    ("UNIQUE ", "idx_proxy_filter", "proxy_filters", "proxy_id, filter_id"),
    ("UNIQUE ", "idx_proxy_mapping_rule", "proxy_mapping_rules", "proxy_id, mapping_rule_id"),
    ("", "idx_data_mapping_rules_source_id", "data_mapping_rules", "source_id"),
    ("", "idx_data_mapping_rules_priority", "data_mapping_rules", "priority"),
    ("", "idx_data_mapping_rules_source_type", "data_mapping_rules", "source_type"),
    ("UNIQUE ", "idx_encoding_profiles_name", "encoding_profiles", "name"),
    ("", "idx_client_detection_rules_priority", "client_detection_rules", "priority"),
)


def build_tvarr_database(path: Path, *, column_order_seed: int | None = None, leave_out: str = "") -> Path:
    """Create the file with a few rows of each kind.

    `column_order_seed` shuffles the columns, as upgrades of old releases do; `leave_out` names a table or a
    `table.column` to do without.
    """
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        for table, columns in _COLUMNS.items():
            if table != leave_out:
                connection.execute(_create(table, columns, column_order_seed, leave_out))
        if leave_out:
            return path
        for unique, name, table, indexed in _INDEXES:
            connection.execute(f"CREATE {unique}INDEX {name} ON {table}({indexed})")
        _fill(connection)
    return path


_ON_A_SERVER = {
    "name TEXT": "name varchar(255)",
    "TEXT": "text",
    "numeric": "boolean",
    "INTEGER": "bigint",
    "datetime": "timestamptz",
    '"': "'",
}
"""What GORM declares on PostgreSQL where it declares something else on SQLite."""


def build_tvarr_on_server(url: str, folder: Path, *, leave_out: str = "") -> str:
    """The same in an empty PostgreSQL database, by way of a file in `folder`; its address."""
    path = build_tvarr_database(folder / "twin.db", leave_out=leave_out)
    with closing(sqlite3.connect(path)) as file, psycopg.connect(url) as server:
        tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            statement = file.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
            for here, there in _ON_A_SERVER.items():
                statement = statement.replace(here, there)
            columns, keys, _ = statement.partition(", FOREIGN KEY")  # which come when all tables are there
            server.execute((columns + (")" if keys else "")).encode())
            kinds: dict[str, str] = dict(
                server.execute(
                    "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s "
                    "ORDER BY ordinal_position",
                    [table],
                ).fetchall()
            )
            for row in file.execute(f"SELECT * FROM {table}").fetchall():
                values = [
                    bool(value) if kind == "boolean" and value is not None else value
                    for value, kind in zip(row, kinds.values(), strict=True)
                ]
                server.execute(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(values))})".encode(), values)
        for table in () if leave_out else _FOREIGN_KEYS:
            for key in _FOREIGN_KEYS[table].split(", FOREIGN KEY"):
                server.execute(f"ALTER TABLE {table} ADD FOREIGN KEY {key.removeprefix('FOREIGN KEY')}".encode())
        for unique, name, table, indexed in () if leave_out else _INDEXES:
            server.execute(f"CREATE {unique}INDEX {name} ON {table}({indexed})".encode())
    return url


def insert(connection: sqlite3.Connection, table: str, **values: Any) -> None:
    """Insert one row; the times are tvarr's unless given."""
    if table not in ("schema_migrations", "backup_settings"):
        values = {"created_at": WRITTEN, "updated_at": WRITTEN} | values
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))


def schema_of(path: Path) -> list[Any]:
    """All of `sqlite_master`, for comparing before and after."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT * FROM sqlite_master ORDER BY type, name").fetchall()


def _create(table: str, columns: Iterable[str], seed: int | None, leave_out: str) -> str:
    parts = list(columns)
    if table not in ("schema_migrations", "backup_settings"):
        parts = ["created_at datetime", "updated_at datetime", "deleted_at datetime", *parts]
        if seed is not None:
            random.Random(seed).shuffle(parts)
        parts = ["id varchar(26)", *parts, "PRIMARY KEY (id)"]
    parts = [part for part in parts if f"{table}.{part.split()[0]}" != leave_out]
    if table in _FOREIGN_KEYS and not leave_out.startswith(table):
        parts.append(_FOREIGN_KEYS[table])
    return f"CREATE TABLE {table} ({', '.join(parts)})"


def _fill(connection: sqlite3.Connection) -> None:
    for version in range(1, 30):
        insert(connection, "schema_migrations", version=f"{version:03}", description="m", applied_at=WRITTEN)
    insert(
        connection, "stream_sources", id=SOURCE_ID, name="Harbour Provider", type="m3u", url="http://p.example/a.m3u"
    )
    insert(connection, "epg_sources", id=GUIDE_ID, name="Harbour Guide", type="xmltv", url="http://p.example/g.xml")
    insert(
        connection,
        "filters",
        id="01M84WRA4KCNS22VQKEM74SSH1",
        name="Sports Only",
        source_type="stream",
        action="include",
        expression='group_title == "Sports"',
        is_system=1,
    )
    insert(
        connection,
        "filters",
        id=FILTER_ID,
        name="Harbour Sports",
        description="Only the harbour's sports",
        source_type="stream",
        action="include",
        is_system=0,
        source_id=SOURCE_ID,
        expression='group_title == "Sports" AND channel_name contains "Harbour"',
    )
    insert(
        connection,
        "filters",
        id="01KA3Z68RA922J7KBEYFJV54XT",
        name="Removed Filter",
        source_type="stream",
        action="exclude",
        expression='channel_name contains "x"',
        deleted_at=WRITTEN,
    )
    insert(
        connection,
        "data_mapping_rules",
        id=MAPPING_ID,
        name="Tidy Harbour Names",
        source_type="stream",
        priority=20,
        expression='channel_name matches "^(.+) HD$" SET tvg_name = "$1"',
        stop_on_match=None,
        is_enabled=None,
    )
    insert(
        connection,
        "encoding_profiles",
        id=PROFILE_ID,
        name="Tablet HEVC",
        description="For the kitchen tablet",
        target_video_codec="h265",
        target_audio_codec="aac",
        quality_preset="low",
        hw_accel="auto",
        enabled=1,
    )
    insert(
        connection,
        "encoding_profiles",
        id="01KAHVK8X608E15BJ4BWZNPJ41",
        name="Dead Profile",
        deleted_at=WRITTEN,
    )
    insert(
        connection,
        "client_detection_rules",
        id=RULE_ID,
        name="Kitchen Tablet",
        priority=50,
        is_enabled=None,
        expression='@dynamic(request.headers):user-agent contains "KitchenTablet"',
        is_system=0,
        accepted_video_codecs='["h264","h265"]',
        accepted_audio_codecs='["aac"]',
        preferred_video_codec="h265",
        preferred_audio_codec="aac",
        preferred_format="hls-fmp4",
        encoding_profile_id=PROFILE_ID,
    )
    insert(connection, "stream_proxies", id=PROXY_ID, name="Living Room", status="success")
    insert(connection, "proxy_filters", id="01KAF7PFKX809N65WNEWAN6DSX", proxy_id=PROXY_ID, filter_id=FILTER_ID)
    insert(
        connection,
        "channels",
        id="01KAWCJA4FTVPY85E86DMFATZE",
        source_id=SOURCE_ID,
        ext_id="e0",
        tvg_id="harbour0.example",
        channel_name="Harbour 0 HD",
        group_title="Sports",
        stream_url="http://p.example/0.ts",
    )
    insert(
        connection,
        "epg_programs",
        id="01KAS9MHFKECRMZXS3GFSX60VZ",
        source_id=GUIDE_ID,
        channel_id="harbour0.example",
        start="2026-03-01 00:00:00+00:00",
        stop="2026-03-01 00:30:00+00:00",
        title="Harbour Show",
    )
