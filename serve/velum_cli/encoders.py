"""The encoder of videos that the settings name, checked before anybody waits for it."""

from velum.settings import VideoSettings
from velum_pipeline.options import DEFAULT_QUALITY
from velum_pipeline.video.encoder import require
from velum_pipeline.video.encoding import Encoding
from velum_serve.videos.runs import VideoSettings as Replicas


def usable(settings: VideoSettings, quality: int = DEFAULT_QUALITY) -> Encoding:
    """Return how these settings have videos encoded.

    Raises:
        UnsupportedEncoder: there is no such preset, or this machine lacks what the codec needs.
    """
    encoding = Replicas(settings.codec, settings.preset).encoding(quality)
    require(encoding.codec)
    return encoding
