"""An example of each warning and what tvarr does in such cases, as in `docs/reference/expressions.md`."""

from dataclasses import dataclass

from tvarr_backup.expressions import Domain, WarningCode


@dataclass(frozen=True, slots=True)
class Trap:
    """An expression that gives the warning `code` at `column` in `domain`, and what tvarr does in such cases."""

    code: WarningCode
    domain: Domain
    example: str
    column: int
    effect: str


TRAPS: tuple[Trap, ...] = (
    Trap(
        WarningCode.UNKNOWN_FIELD,
        Domain.STREAM_FILTER,
        'chanel_name contains "BBC"',
        1,
        "Reads the field as empty text.",
    ),
    Trap(
        WarningCode.EMPTY_FIELD,
        Domain.CLIENT_DETECTION,
        'user_agent contains "VLC"',
        1,
        "Knows the name, but has no value for it in this domain, so it is always empty text.",
    ),
    Trap(
        WarningCode.UNKNOWN_TARGET,
        Domain.STREAM_MAPPING,
        'true SET quality = "HD"',
        10,
        "Computes the value, but does not save it.",
    ),
    Trap(
        WarningCode.READ_ONLY_TARGET,
        Domain.STREAM_MAPPING,
        'true SET stream_url = "http://example.test"',
        10,
        "Accepts the assignment, but does not change the field.",
    ),
    Trap(
        WarningCode.UNSAVED_TARGET,
        Domain.STREAM_MAPPING,
        'true SET tvg_country = "GB"',
        10,
        "Knows the field, but does not save it in this domain.",
    ),
    Trap(
        WarningCode.BAD_REGEX,
        Domain.STREAM_FILTER,
        'channel_name matches "BBC(?! Radio)"',
        22,
        "Fails at run time: RE2 has no look-around and no back-references.",
    ),
    Trap(
        WarningCode.NOT_A_NUMBER,
        Domain.STREAM_MAPPING,
        'channel_name greater_than "ten"',
        27,
        "Fails at run time: both sides of a number operator must be numbers.",
    ),
    Trap(
        WarningCode.IGNORED_NOT,
        Domain.STREAM_MAPPING,
        "tvg_id not less_than 5",
        8,
        "Ignores NOT before a number operator.",
    ),
    Trap(
        WarningCode.MOVED_NOT,
        Domain.STREAM_FILTER,
        'not (channel_name contains "a" OR group_title contains "b")',
        1,
        "Moves the word into the parentheses, where it applies only to the first condition.",
    ),
    Trap(
        WarningCode.IGNORED_ACTION,
        Domain.STREAM_FILTER,
        'channel_name contains "BBC" SET group_title = "UK"',
        33,
        "Ignores actions in filters.",
    ),
    Trap(
        WarningCode.MISSING_AND,
        Domain.STREAM_FILTER,
        'channel_name contains "BBC" group_title = "UK"',
        29,
        "Reads the comparison as an assignment, because there is no AND or OR before it.",
    ),
    Trap(
        WarningCode.DROPPED_BACKSLASH,
        Domain.STREAM_FILTER,
        r'channel_name matches "\bBBC"',
        23,
        r"Drops the backslash; a regular expression needs two of them, as in `\\b`.",
    ),
    Trap(
        WarningCode.REWRITTEN_TEXT,
        Domain.STREAM_FILTER,
        'channel_name contains "Rock and Roll"',
        29,
        "Replaces symbols, `and`, `or` and runs of spaces in quotes too.",
    ),
    Trap(
        WarningCode.UNQUOTED_HELPER,
        Domain.STREAM_MAPPING,
        "true SET tvg_name = @time:now",
        21,
        "Fails at run time: helpers work only in quotes.",
    ),
    Trap(
        WarningCode.REFERENCE_AS_TEXT,
        Domain.STREAM_FILTER,
        "channel_name equals $tvg_name",
        21,
        "Compares with this text itself; a condition cannot compare two fields.",
    ),
    Trap(
        WarningCode.DYNAMIC_IN_MAPPING,
        Domain.STREAM_MAPPING,
        "true SET tvg_name = @dynamic(request.headers):host",
        21,
        "Fails at run time: there is no request while channels or programmes are mapped.",
    ),
    Trap(
        WarningCode.MISSING_GROUP,
        Domain.STREAM_MAPPING,
        'channel_name matches "BBC" SET tvg_name = "$1"',
        43,
        "Has no such group, so the quoted text keeps `$1`, and an unquoted `$1` is empty.",
    ),
)
