"""All client detection rules together, as tvarr asks them about a request."""

from collections.abc import Sequence
from dataclasses import dataclass

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.evaluate import Program, compile_expression
from tvarr_backup.expressions.limits import Budget
from tvarr_backup.expressions.problems import InvalidExpression
from tvarr_backup.expressions.program_sets import ProgramSet
from tvarr_backup.expressions.rows import Row

DEFAULT_VIDEO, DEFAULT_AUDIO = "h264", "aac"


@dataclass(frozen=True, slots=True)
class ClientRule:
    """A client detection rule with the values of its columns. Lower priorities come first, then the given order.

    An empty text leaves the attribute to later rules. A flag that is None counts as true.
    """

    expression: str
    priority: int = 0
    is_enabled: bool = True
    preferred_video_codec: str = ""
    preferred_audio_codec: str = ""
    preferred_format: str = ""
    supports_fmp4: bool | None = None
    supports_mpegts: bool | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    """What tvarr decides about a request, before `?format=` in it is applied.

    `matching` are the positions of the rules in the given sequence that contributed, the first one first. tvarr does not look
    at rules after those that have set everything.
    """

    video_codec: str
    audio_codec: str
    format: str
    supports_fmp4: bool
    supports_mpegts: bool
    matching: tuple[int, ...]


class ClientRules:
    """The compiled rules. tvarr skips a rule that it refuses; `refused` has the positions of those."""

    def __init__(self, rules: Sequence[ClientRule], budget: Budget | None = None) -> None:
        """Compile the enabled rules. Raise `ExpressionTooLarge`."""
        budget = budget or Budget()
        enabled = sorted(
            ((position, rule) for position, rule in enumerate(rules) if rule.is_enabled),
            key=lambda pair: pair[1].priority,
        )
        programs = [(position, rule, _compile(rule, budget)) for position, rule in enabled]
        self.refused = tuple(position for position, _, program in programs if program is None)
        self._rules = [(position, rule, program) for position, rule, program in programs if program is not None]
        self._reader = ProgramSet([program for _, _, program in self._rules], Domain.CLIENT_DETECTION).reader

    def detect(self, request: Row) -> Detection:
        """Return what the rules decide together: each attribute is set by the first matching rule that has a value for it."""
        texts = self._reader.read(request)
        settings = dict.fromkeys(("preferred_video_codec", "preferred_audio_codec", "preferred_format"), "")
        first: ClientRule | None = None
        matching: list[int] = []
        for position, rule, program in self._rules:
            if first is not None and all(settings.values()):
                break
            applied = program.apply_texts(texts)
            if not applied.outcome.matches or applied.outcome.error is not None:
                continue
            matching.append(position)
            first = first or rule
            for name, value in settings.items():
                settings[name] = value or applied.honored.get(name) or str(getattr(rule, name))
        return Detection(
            video_codec=settings["preferred_video_codec"] or DEFAULT_VIDEO,
            audio_codec=settings["preferred_audio_codec"] or DEFAULT_AUDIO,
            format=settings["preferred_format"],
            supports_fmp4=first is None or first.supports_fmp4 is not False,
            supports_mpegts=first is None or first.supports_mpegts is not False,
            matching=tuple(matching),
        )


def _compile(rule: ClientRule, budget: Budget) -> Program | None:
    try:
        return compile_expression(rule.expression, Domain.CLIENT_DETECTION, budget)
    except InvalidExpression:
        return None
