"""Sign-in, password and API tokens of the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView, RedirectURLMixin, redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from tvarr_backup.access.proxy import find_named_user, is_signed_in_by_proxy
from tvarr_backup.access.scopes import Scope
from tvarr_backup.access.tokens import create_token, list_tokens, revoke_token
from tvarr_backup.errors import TokenInvalid, TokenNotFound
from tvarr_backup.initial_password import has_one_time_password
from tvarr_backup.quoting import quoted
from tvarr_backup.web.forms import PasswordForm, SignInForm, TokenForm

_LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


class SignIn(LoginView):
    """Sign in, and continue to the requested page. A user with the one-time password chooses another one first."""

    template_name = "web/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        named = {"password_file": _password_file(self.request), "proxy_user": find_named_user(self.request)}
        return super().get_context_data(**kwargs) | named

    def get_success_url(self) -> str:
        target = super().get_success_url()
        if not has_one_time_password(self.request.user):
            return target
        return f"{reverse('password')}?{urlencode({'next': target})}"


class SignOut(LogoutView):
    """Sign out, and of the proxy too if it has signed the user in and has an address for that."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if is_signed_in_by_proxy(request):
            self.next_page = settings.PROXY_SIGN_OUT_URL or None
        return super().post(request, *args, **kwargs)


def _password_file(request: HttpRequest) -> Path | None:
    """Return the file with the one-time password while it exists. Only users of this machine see its folder."""
    path: Path = settings.INITIAL_PASSWORD_PATH
    if not path.exists():
        return None
    is_local = request.META.get("REMOTE_ADDR") in _LOOPBACK and "X-Forwarded-For" not in request.headers
    return path if is_local else Path(path.name)


def sign_in_to_admin(request: HttpRequest) -> HttpResponse:
    """Redirect the admin's sign-in page to ours. A signed-in user who may not see the admin gets 403."""
    if request.user.is_authenticated and not admin.site.has_permission(request):
        raise PermissionDenied
    return redirect_to_login(request.GET.get("next", reverse("admin:index")))


class Password(RedirectURLMixin, PasswordChangeView):
    """Change the user's password, and continue to the requested page or to the account."""

    template_name = "web/password.html"
    form_class = PasswordForm
    next_page = "account"

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        messages.success(self.request, "Password changed. Your API tokens still work: revoke those you do not trust.")
        return response


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """List the user's tokens. A POST creates one, whose secret is only in this answer.

    A redirect would have to store the secret for the next page. If the form is sent again, its name is already taken.
    """
    form = TokenForm(request.POST or None)
    secret = badge_url = ""
    if form.is_valid():
        try:
            _, secret = create_token(
                request.user.get_username(),
                form.cleaned_data["name"],
                form.cleaned_data["lifetime"] or None,
                form.cleaned_data["scope"],
            )
            if form.cleaned_data["scope"] == Scope.BADGE:
                badge_url = f"{request.build_absolute_uri(reverse('status-badge'))}?{urlencode({'token': secret})}"
            form = TokenForm()
        except TokenInvalid as problem:
            form.add_error(None, str(problem))
    tokens = list_tokens(None).filter(user=request.user.pk)
    context = {"form": form, "secret": secret, "badge_url": badge_url, "tokens": tokens}
    return render(request, "web/account.html", context)


@login_required
@require_POST
def revoke(request: HttpRequest) -> HttpResponse:
    name = request.POST.get("name", "")
    try:
        revoke_token(request.user.get_username(), name)
        messages.success(request, f"Token {quoted(name)} revoked.")
    except TokenNotFound:
        messages.error(request, f"You have no token {quoted(name)}. Nothing was changed.")
    return HttpResponseRedirect(reverse("account"))
