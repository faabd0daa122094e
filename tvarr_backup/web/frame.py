"""Pages whose frame goes out at once, while their content is still worked out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.contrib.messages import get_messages
from django.core.handlers.exception import response_for_exception
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.web.refusals import sentence_of_failure

Content = tuple[str, Mapping[str, Any]]
"""A template that extends the frame, and its context. Its title and scripts are those of the template that was announced."""


class FrameFirst(StreamingHttpResponse):
    """Two parts of a page: all that comes before its content, then the rest. Its status is 200 by then, whatever comes."""


def frame_first(
    request: HttpRequest, template: str, work: Callable[[], Content], known: Mapping[str, Any] | None = None
) -> HttpResponseBase:
    """A page of this template, or of one with the same title and scripts, for which `known` is enough.

    Whatever decides on the status, who may look and whether it is there, comes before this is called. What `work` raises
    becomes a sentence where the content would be. htmx waits for the end of an answer in any case: it is sent a whole page.
    """
    if request.headers.get("HX-Request"):
        return render(request, *work())
    frame = render_to_string(template, {**(known or {}), "part": "frame"}, request)
    told = list(get_messages(request))  # from now on they count as read
    return FrameFirst(_parts(request, frame, work, {"part": "content", "messages": told}))


def _parts(request: HttpRequest, frame: str, work: Callable[[], Content], context: Mapping[str, Any]) -> Iterator[str]:
    yield frame
    try:
        template, shown = work()
        yield render_to_string(template, {**shown, **context}, request)
    except TvarrBackupError as problem:
        yield _refusal(request, str(problem), context)
    except Exception as problem:  # noqa: BLE001  # as whoever calls a view does, who is past that here
        response_for_exception(request, problem)  # tells the log
        yield _refusal(request, sentence_of_failure(problem), context)


def _refusal(request: HttpRequest, sentence: str, context: Mapping[str, Any]) -> str:
    return render_to_string("web/refused.html", {"sentence": sentence, **context}, request)
