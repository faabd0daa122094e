"""Requests to WebDAV servers: certificates, signing in, redirects, and what can go wrong.

The proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name are used. Credentials are only sent when the server of the address
asks for them, and never to another one.
"""

from __future__ import annotations

import ssl
from collections.abc import Generator, Iterable, Mapping
from contextlib import suppress

import certifi
import httpx

from tvarr_backup.connection_problems import find_ssl_error
from tvarr_backup.errors import (
    LocationDenied,
    LocationError,
    LocationFailed,
    LocationFull,
    LocationRedirected,
    LocationUnreachable,
)
from tvarr_backup.locations import stores
from tvarr_backup.locations.addresses import Address
from tvarr_backup.locations.failures import (
    certificate_file_invalid,
    certificate_refused,
    connection_lost,
    no_space,
    not_connected,
    not_permitted,
    object_missing,
    sign_in_refused,
    unexpected_answer,
)
from tvarr_backup.quoting import quoted

_MOST_REDIRECTS = 5
_MOST_OF_ERROR_BODY = 2**16
_REDIRECTS = {301, 302, 303, 307, 308}
_REPEATABLE = {"GET", "PROPFIND"}
"""Requests that are repeated where a redirect leads, on the same server."""


class Connection:
    """Sends requests to the server of an address."""

    def __init__(self, address: Address) -> None:
        options = address.options
        self._base = httpx.URL(options["url"])
        self.host = self._base.host
        self.port = self._base.port or {"http": 80, "https": 443}[self._base.scheme]
        self._user, self._password = options["user"], options["password"]
        self._authentication: httpx.Auth | None = None
        self._client = httpx.Client(
            verify=_make_context(options["ca_file"]),
            headers={"User-Agent": "tvarr-backup", "Accept-Encoding": "identity"},
            follow_redirects=False,
        )

    def close(self) -> None:
        self._client.close()

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        content: bytes | Iterable[bytes] | None = None,
    ) -> httpx.Response:
        """Send a request, and return the answer with any status but 401 and redirects. The caller reads and closes it.

        `content` is iterated again if the server asks for credentials. What it raises is raised.
        """
        for _redirect in range(_MOST_REDIRECTS):
            request = self._client.build_request(
                method, url, headers=headers, content=content, timeout=stores.TIMEOUT_SECONDS
            )
            response = self._send_with_credentials(request)
            if response.status_code not in _REDIRECTS:
                return response
            discard(response)
            url = self._follow(response, method)
        raise LocationFailed(
            "{host} redirects {method} requests in a circle. Check the address.", host=self.host, method=method
        )

    def _send_with_credentials(self, request: httpx.Request) -> httpx.Response:
        response = self._send_once(request, self._authentication)
        if response.status_code == 401 and self._authentication is None and (self._user or self._password):
            self._authentication = _choose_authentication(response, self._user, self._password)
            if self._authentication is not None:
                discard(response)
                response = self._send_once(request, self._authentication)
        if response.status_code == 401:
            discard(response)
            raise self._explain_refusal()
        return response

    def _send_once(self, request: httpx.Request, authentication: httpx.Auth | None) -> httpx.Response:
        """httpx would read the whole body of a refusal, so the steps of its authentication are taken here."""
        if authentication is None:
            return self._transmit(request)
        steps: Generator[httpx.Request, httpx.Response, None] = authentication.auth_flow(request)
        response = self._transmit(next(steps))
        while (following := self._answer_challenge(steps, response)) is not None:
            discard(response)
            response = self._transmit(following)
        return response

    def _answer_challenge(
        self, steps: Generator[httpx.Request, httpx.Response, None], response: httpx.Response
    ) -> httpx.Request | None:
        try:
            return steps.send(response)
        except StopIteration:
            return None
        except (httpx.ProtocolError, NotImplementedError, LookupError, ValueError) as problem:
            raise LocationFailed(
                "{host} asks for a password in a way that this program does not know. Turn on Basic authentication there.",
                host=self.host,
            ) from problem

    def _transmit(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._client.send(request, stream=True, auth=None)
        except httpx.TransportError as problem:
            raise self.explain(problem) from problem

    def _explain_refusal(self) -> LocationDenied:
        if self._user or self._password:
            return sign_in_refused(self.host, "the user name or password")
        return LocationDenied("{where} asks for a user name and a password. Enter them.", where=self.host)

    def _follow(self, response: httpx.Response, method: str) -> str:
        """Return where a redirect leads, if the request may go there."""
        asked = response.request.url
        try:
            target = asked.join(response.headers.get("Location", ""))
        except (httpx.InvalidURL, ValueError):
            target = asked
        if _origin(target) != _origin(asked):
            raise LocationRedirected(
                "{host} redirects to {target}. Nothing was sent there. If that is the right server, use its address.",
                host=quoted(_origin(asked)),
                target=quoted(_origin(target)),
            )
        if method not in _REPEATABLE:
            raise LocationFailed(
                "{host} redirects {method} requests from {path} to {target}. Correct the address.",
                host=self.host,
                method=method,
                path=quoted(asked.path),
                target=quoted(target.path),
            )
        return str(target)

    def explain(self, problem: httpx.TransportError) -> LocationError:
        """Return the cause of a failed connection."""
        seconds = stores.TIMEOUT_SECONDS
        secure = find_ssl_error(problem)
        if secure is not None and isinstance(problem, httpx.ConnectError) and not isinstance(secure, ssl.SSLEOFError):
            return certificate_refused(self.host, self.port, secure)
        if isinstance(problem, (httpx.ConnectError, httpx.ConnectTimeout)):
            return not_connected(self.host, self.port, problem, seconds)
        if isinstance(problem, httpx.ProxyError):
            return LocationUnreachable(
                "The proxy for {host} refused the connection: {reason:clause}. "
                'Check the variables "HTTPS_PROXY" and "NO_PROXY".',
                host=self.host,
                reason=quoted(problem),
            )
        return connection_lost(self.host, self.port, problem, seconds)

    def refuse(self, response: httpx.Response, name: str, needed: int = 0) -> LocationError:
        """Close an answer, and return the error that its status means."""
        discard(response)
        status, method = response.status_code, response.request.method
        if status == 404:
            return object_missing(self.host, name)
        if status == 403:
            return not_permitted(self.host, name)
        if status == 507:
            return no_space(self.host, needed)
        if status == 413:
            return LocationFull(
                "{host} does not accept a file of {needed:MB}. Nothing was saved. Raise the server's limit for uploads.",
                host=self.host,
                needed=needed,
            )
        return unexpected_answer(self.host, f"{method} {name}", f"{status} {response.reason_phrase}".strip())


def discard(response: httpx.Response) -> None:
    """Close an answer. A short body is read before, so that the connection can be used again."""
    read = 0
    if not response.is_stream_consumed:
        with suppress(httpx.TransportError):
            for piece in response.iter_raw():
                read += len(piece)
                if read > _MOST_OF_ERROR_BODY:
                    break
    response.close()


def _make_context(ca_file: str) -> ssl.SSLContext:
    """Trust the certificates in a file, or those of the system. If it has none, trust those that come with httpx."""
    if not ca_file:
        context = ssl.create_default_context()
        if not context.cert_store_stats()["x509_ca"]:
            context.load_verify_locations(certifi.where())
        return context
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as problem:  # also what `ssl` raises
        raise certificate_file_invalid(ca_file, problem) from problem


def _choose_authentication(response: httpx.Response, user: str, password: str) -> httpx.Auth | None:
    """Return what the server asks for. If it accepts both, a password is only sent over a secure connection."""
    schemes = [challenge.split(" ")[0].lower() for challenge in response.headers.get_list("WWW-Authenticate")]
    is_secure = response.request.url.scheme == "https"
    if "digest" in schemes and not (is_secure and "basic" in schemes):
        return httpx.DigestAuth(user, password)
    return httpx.BasicAuth(user, password) if "basic" in schemes else None


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
