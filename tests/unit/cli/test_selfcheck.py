"""What `velum up` asks of itself, held against a service that is broken where only faces tell."""

import cv2
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from velum_cli.scenery import HEIGHT, WIDTH
from velum_cli.selfcheck import SelfCheckFailed, self_check

CLASSES = ("face", "person")
BLACK = cv2.imencode(".png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))[1].tobytes()


class Service:
    """Answers as the ingress does; hides everything, and tells of `found` for what was asked."""

    def __init__(self, found: dict[tuple[str, ...], tuple[str, ...]]) -> None:
        self.found = found
        self.asked: list[tuple[str, ...]] = []
        self.deleted: list[str] = []

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/v1/file", self.post)
        application.router.add_get("/v1/file/{id}/anonymised", self.picture)
        application.router.add_get("/v1/file/{id}/metadata", self.metadata)
        application.router.add_delete("/v1/task/{id}", self.delete)
        return application

    async def post(self, request: web.Request) -> web.Response:
        self.asked.append(tuple(name for name in CLASSES if request.query.get(name) == "true"))
        return web.json_response({"id": str(len(self.asked) - 1)})

    async def picture(self, _: web.Request) -> web.Response:
        return web.Response(body=BLACK)

    async def metadata(self, request: web.Request) -> web.Response:
        found = self.found[self.asked[int(request.match_info["id"])]]
        return web.json_response({"detections": [{"bbox": [160, 240, 220, 310], "type_label": name} for name in found]})

    async def delete(self, request: web.Request) -> web.Response:
        self.deleted.append(request.match_info["id"])
        return web.Response(status=204)


async def checked(service: Service) -> dict[str, int]:
    async with TestServer(service.application()) as server:
        return await self_check(str(server.make_url("")).rstrip("/"), CLASSES)


async def test_faces_are_asked_for_alone_and_then_everything() -> None:
    service = Service({("face",): ("face",), CLASSES: ("face", "person", "person")})
    assert await checked(service) == {"face": 1, "person": 2}
    assert service.asked == [("face",), CLASSES]
    assert service.deleted == ["0", "1"]


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({("face",): (), CLASSES: CLASSES}, "nothing was found"),
        ({("face",): ("face",), CLASSES: ("person",)}, "no face was found .* but 1 person"),
    ],
)
async def test_hidden_persons_are_no_sign_that_faces_are_found(
    found: dict[tuple[str, ...], tuple[str, ...]], problem: str
) -> None:
    service = Service(found)
    with pytest.raises(SelfCheckFailed, match=problem):
        await checked(service)
    assert len(service.deleted) == len(service.asked)
