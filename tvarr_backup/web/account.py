"""Signing in and out, the own password, and the own tokens."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, PasswordChangeView, redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse, reverse_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from tvarr_backup.access.tokens import create_token, list_tokens, revoke_token
from tvarr_backup.errors import TokenInvalid, TokenNotFound
from tvarr_backup.quoting import quoted
from tvarr_backup.web.forms import PasswordForm, SignInForm, TokenForm


class SignIn(LoginView):
    """Then on to where one wanted to go."""

    template_name = "web/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"first_start": settings.INITIAL_PASSWORD_PATH.exists()}


def sign_in_to_admin(request: HttpRequest) -> HttpResponse:
    """The admin's own address to sign in at leads to ours; who is signed in and sent there may not see the admin."""
    if request.user.is_authenticated and not request.user.is_staff:
        raise PermissionDenied
    return redirect_to_login(request.GET.get("next", reverse("admin:index")))


class Password(PasswordChangeView):
    """A new password for oneself."""

    template_name = "web/password.html"
    form_class = PasswordForm
    success_url = reverse_lazy("account")

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        messages.success(self.request, "Your password is changed. Tokens are not: revoke those that you do not trust.")
        return response


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """One's tokens; a POST makes one, whose secret is in this answer and never shown again.

    No redirection, because the secret would have to be kept for the page after it. Sent again, the name is taken.
    """
    form = TokenForm(request.POST or None)
    secret = ""
    if form.is_valid():
        try:
            _, secret = create_token(
                request.user.get_username(), form.cleaned_data["name"], form.cleaned_data["lifetime"] or None
            )
            form = TokenForm()
        except TokenInvalid as problem:
            form.add_error(None, str(problem))
    context = {"form": form, "secret": secret, "tokens": list_tokens(None).filter(user=request.user.pk)}
    return render(request, "web/account.html", context)


@login_required
@require_POST
def revoke(request: HttpRequest) -> HttpResponse:
    """End one of one's tokens."""
    name = request.POST.get("name", "")
    try:
        revoke_token(request.user.get_username(), name)
        messages.success(request, f"The token {quoted(name)} is revoked: nobody can use it any more.")
    except TokenNotFound:
        messages.error(request, f"You have no token {quoted(name)} any more; nothing was done.")
    return HttpResponseRedirect(reverse("account"))
