"""Rows for tests: every factory makes one that `full_clean()` accepts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from factory.declarations import LazyAttribute, LazyFunction, Sequence, SubFactory
from factory.django import DjangoModelFactory, Password

from tvarr_backup import models
from tvarr_backup.portable.kinds import KINDS, Slug

GUIDE_START = datetime(2026, 3, 1, 18, tzinfo=UTC)


class UserFactory(DjangoModelFactory[User]):
    """An administrator, as `prepare` makes one; the password is `correct horse`."""

    class Meta:
        model = get_user_model()
        skip_postgeneration_save = True

    username = Sequence(lambda number: f"keeper-{number}")
    email = LazyAttribute(lambda user: f"{user.username}@example.test")
    is_staff = True
    is_superuser = True
    password = Password("correct horse")


class FilterFactory(DjangoModelFactory[models.Filter]):
    class Meta:
        model = models.Filter

    name = Sequence(lambda number: f"Harbour channels {number}")
    description = "Keeps what the harbour town likes."
    source_type = models.SourceType.STREAM
    action = models.Filter.Action.INCLUDE
    expression = 'channel_name contains "Harbour"'


class DataMappingRuleFactory(DjangoModelFactory[models.DataMappingRule]):
    class Meta:
        model = models.DataMappingRule

    name = Sequence(lambda number: f"Group the lighthouse channels {number}")
    source_type = models.SourceType.STREAM
    expression = 'channel_name contains "Lighthouse" SET group_title = "Coast"'
    priority = Sequence(lambda number: 1000 + number)


class EncodingProfileFactory(DjangoModelFactory[models.EncodingProfile]):
    class Meta:
        model = models.EncodingProfile

    name = Sequence(lambda number: f"Attic projector {number}")
    target_video_codec = "h265"
    target_audio_codec = "aac"
    quality_preset = "high"
    hw_accel = "vaapi"


class ClientDetectionRuleFactory(DjangoModelFactory[models.ClientDetectionRule]):
    class Meta:
        model = models.ClientDetectionRule

    name = Sequence(lambda number: f"Kitchen tablet {number}")
    expression = '@dynamic(request.headers):user-agent contains "KitchenTablet"'
    priority = Sequence(lambda number: 2000 + number)
    accepted_video_codecs = LazyFunction(lambda: ["h264", "h265"])
    accepted_audio_codecs = LazyFunction(lambda: ["aac"])
    preferred_video_codec = "h264"
    preferred_audio_codec = "aac"


class StreamSourceFactory(DjangoModelFactory[models.StreamSource]):
    class Meta:
        model = models.StreamSource

    name = Sequence(lambda number: f"Pelican Streams {number}")
    type = "m3u"
    url = Sequence(lambda number: f"http://pelican-{number}.example.test/list.m3u")


class EpgSourceFactory(DjangoModelFactory[models.EpgSource]):
    class Meta:
        model = models.EpgSource

    name = Sequence(lambda number: f"Pelican Guide {number}")
    type = "xmltv"
    url = Sequence(lambda number: f"http://pelican-{number}.example.test/guide.xml")


class ChannelFactory(DjangoModelFactory[models.Channel]):
    class Meta:
        model = models.Channel

    source = SubFactory(StreamSourceFactory)
    ext_id = Sequence(str)
    tvg_id = Sequence(lambda number: f"lighthouse-{number}.example")
    tvg_name = LazyAttribute(lambda channel: channel.channel_name)
    group_title = "Coast"
    channel_name = Sequence(lambda number: f"Lighthouse {number}")
    channel_number = Sequence(lambda number: number + 1)
    stream_url = Sequence(lambda number: f"http://pelican.example.test/live/{number}.ts")


class EpgProgramFactory(DjangoModelFactory[models.EpgProgram]):
    class Meta:
        model = models.EpgProgram

    source = SubFactory(EpgSourceFactory)
    channel_id = Sequence(lambda number: f"lighthouse-{number}.example")
    start = Sequence(lambda number: GUIDE_START + timedelta(hours=number))
    stop = LazyAttribute(lambda programme: programme.start + timedelta(hours=1))
    title = Sequence(lambda number: f"Tides tonight, part {number}")
    category = "Documentary"


class StreamProxyFactory(DjangoModelFactory[models.StreamProxy]):
    class Meta:
        model = models.StreamProxy

    name = Sequence(lambda number: f"Living room {number}")


class ProxyFilterFactory(DjangoModelFactory[models.ProxyFilter]):
    class Meta:
        model = models.ProxyFilter

    proxy = SubFactory(StreamProxyFactory)
    filter = SubFactory(FilterFactory)


ALL_FACTORIES: tuple[type[DjangoModelFactory[Any]], ...] = (
    UserFactory,
    FilterFactory,
    DataMappingRuleFactory,
    EncodingProfileFactory,
    ClientDetectionRuleFactory,
    StreamSourceFactory,
    EpgSourceFactory,
    ChannelFactory,
    EpgProgramFactory,
    StreamProxyFactory,
    ProxyFilterFactory,
)

_OF_MODELS: dict[Any, Any] = {factory._meta.model: factory for factory in ALL_FACTORIES}
KIND_FACTORIES: dict[Slug, type[DjangoModelFactory[Any]]] = {
    slug: _OF_MODELS[kind.model] for slug, kind in KINDS.items()
}
