"""A task as the v1 REST contract shows it: in answers of the ingress and in webhooks alike.

Built from the resource alone, so that the operator can send it without asking the ingress.
"""

from typing import Any

from velum.api.meta import rfc3339
from velum.api.status import Phase, WebhookState
from velum.api.task import AnonymizationTask, BoxedClass, Classes, Ignore, TaskSpec, Tiling

STATUS = {
    Phase.PENDING: "queued",
    Phase.SUSPENDED: "queued",
    Phase.RUNNING: "processing",
    Phase.COMPLETE: "done",
    Phase.FAILED: "failed",
    Phase.DELETED: "deleted",
}
"""Phase → the contract's `status`."""


def status_word(task: AnonymizationTask) -> str:
    """Return the contract's word for where the task stands."""
    return "deleted" if task.deleting else STATUS[task.status.phase]


def task_document(task: AnonymizationTask, endpoint: str) -> dict[str, Any]:
    """Return the task in the contract's form; `endpoint` is the base URL of its links, without a slash at the end."""
    status, spec = task.status, task.spec
    done = status_word(task) == "done"
    files = status.result.files() if done and status.result is not None else {}
    base = f"{endpoint}/v1/file/{task.name}"
    video = is_video(task)
    middle = "/video" if video else ""

    def link(role: str, path: str) -> str | None:
        return f"{base}{path}" if role in files else None

    return {
        "id": task.name,
        "status": status_word(task),
        "filename": filename(spec),
        "media_type": status.media_type,
        "progress": status.progress_percent / 100,
        "created_at": _time(task.metadata.creation_timestamp),
        "started_at": _time(status.started_at),
        "finished_at": _time(status.finished_at),
        "error": status.message if status.failed else None,
        "parameters": parameters(spec),
        "webhook_status": _webhook_word(task),
        "anonymised_link": link("anonymised", f"{middle}/anonymised"),
        "binary_mask_link": link("binary-mask", "/binary-mask"),
        "instance_mask_link": link("instance-mask", "/instance-mask"),
        "metadata_link": link("metadata", f"{middle}/metadata"),
        **_of_video(task),
    }


def is_video(task: AnonymizationTask) -> bool:
    """Whether the source is a video, as far as it was looked at."""
    return (task.status.media_type or "").startswith("video/")


def _of_video(task: AnonymizationTask) -> dict[str, Any]:
    """Return what is told of videos beside the contract's keys; all of it is None for pictures.

    What is done of a video that is published is all of it, frames that could not be decoded included.
    """
    status, result = task.status, task.status.result
    total = result.frames if result is not None else None
    counted = (total, total) if total is not None else (None, None)
    if result is None and status.frames is not None:
        counted = (status.frames.done, status.frames.of)
    known = result is not None and is_video(task)
    return {
        "frames_done": counted[0],
        "frames_total": counted[1],
        "skipped_frames": result.skipped_frames if result is not None else None,
        "finish_estimate": None if status.finished else _time(status.estimated_finish_at),
        "left_out": list(result.left_out) if known and result is not None else None,
        "converted": list(result.converted) if known and result is not None else None,
    }


def filename(spec: TaskSpec) -> str:
    """Return the name people know the source by."""
    if spec.filename:
        return spec.filename
    source = spec.source.object.key if spec.source.object is not None else (spec.source.url or "").split("?")[0]
    return source.rstrip("/").rsplit("/", 1)[-1] or "source"


def parameters(spec: TaskSpec) -> dict[str, Any]:
    """Return the parameters that were accepted, in the contract's names with underscores. Never a secret."""
    classes = spec.classes
    return {
        "method": spec.method,
        **_class_parameters(classes),
        "bbox": spec.bbox,
        "ignores": [_ignore(each) for each in spec.ignores],
        "format": tiling_text(spec.tiling),
        "debug": spec.debug,
        "score": spec.score,
        "quality": spec.quality,
        "compress_level": spec.compress_level,
        "lossless": spec.lossless,
        "gps": spec.gps,
        "save_mask": spec.save_mask,
        "mask_scale": spec.mask_scale_percent,
        "watermark": spec.watermark,
        "name": filename(spec),
        "model": spec.model,
        "webhook": spec.webhook.url if spec.webhook is not None else None,
    }


def _class_parameters(classes: Classes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    boxed: dict[str, BoxedClass | None] = {"face": classes.face, "license_plate": classes.license_plate}
    for name, each in boxed.items():
        found[name] = each is not None
        if each is not None:
            found[f"{name}_threshold"] = each.threshold_percent / 100
            found[f"kernel_size_{name}"] = each.kernel_percent / 100
            found[f"{name}_anonymization_gradient_start"] = each.gradient_start_percent / 100
            found[f"{name}_anonymization_gradient_stop"] = each.gradient_stop_percent / 100
    for name, shaped in {"person": classes.person, "vehicle": classes.vehicle}.items():
        found[name] = shaped is not None
        if shaped is not None:
            found[f"{name}_threshold"] = shaped.threshold_percent / 100
            found[f"kernel_size_{name}"] = shaped.kernel_pixels
    return found


def _ignore(area: Ignore) -> dict[str, int]:
    return {"topLeftX": area.left, "topLeftY": area.top, "width": area.width, "height": area.height}


def tiling_text(tiling: Tiling) -> Any:
    """Return the contract's `format` for a tiling."""
    match tiling.mode:
        case "pano":
            return f"pano:{tiling.pano_width}"
        case "grid":
            return {"number": [tiling.columns, tiling.rows], "overlap": [tiling.overlap_x, tiling.overlap_y]}
        case mode:
            return mode


def _webhook_word(task: AnonymizationTask) -> str:
    if task.spec.webhook is None:
        return "empty"
    if task.status.webhook is None:
        return "set"
    words = {WebhookState.PENDING: "set", WebhookState.SENT: "sent", WebhookState.FAILED: "failed"}
    return words[task.status.webhook.state]


def _time(moment: Any) -> str | None:
    return rfc3339(moment) if moment is not None else None
