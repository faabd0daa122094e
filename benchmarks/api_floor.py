"""Views of the plain framework for the same rows, without rules, permissions and warnings."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework import generics, serializers

from config.urls import urlpatterns as _ours
from tvarr_backup.models import Filter
from tvarr_backup.operations.models import Backup


class BareFilter(serializers.ModelSerializer[Filter]):
    class Meta:
        model = Filter
        fields = ("id", "name", "description", "source_type", "action", "expression", "source_id", "is_system")


class BareBackup(serializers.ModelSerializer[Backup]):
    class Meta:
        model = Backup
        fields = "__all__"


class _Bare(generics.ListCreateAPIView[Any]):
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()


class Filters(_Bare):
    """A page of 50 rows. A POST creates all rows of the body."""

    queryset = Filter.objects.order_by("name")
    serializer_class = BareFilter

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        many = isinstance(kwargs.get("data"), list)
        return super().get_serializer(*args, **kwargs | ({"many": True} if many else {}))


class Backups(_Bare):
    queryset = Backup.objects.all()
    serializer_class = BareBackup
    pagination_class = None


def nothing(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


urlpatterns: list[Any] = [
    path("floor/filters", Filters.as_view()),
    path("floor/backups", Backups.as_view()),
    path("floor/nothing", nothing),
    *_ours,
]
