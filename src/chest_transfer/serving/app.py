"""The app: a page that asks models of radiographs, and the same answers for programs; nothing uploaded is kept."""

import asyncio
import base64
import os
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.resources import files

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chest_transfer.data.radiographs import read_grey
from chest_transfer.errors import ChestTransferError, unknown_name
from chest_transfer.serving.collection import known
from chest_transfer.serving.examples import EXAMPLES, example
from chest_transfer.serving.overlays import LONGEST, laid_out, png
from chest_transfer.serving.pictures import Picture
from chest_transfer.serving.predicting import Predictor
from chest_transfer.serving.uploads import MAX_UPLOAD_BYTES, RequestError, TimedProtocol, Uploads

CONNECTIONS = 128  # of which uploads take at most `MAX_UPLOADS`
KEPT = 4  # models in memory, those asked last
LOOPBACK = ("127.0.0.1", "localhost")
PAGE = {"app.html": "text/html", "app.css": "text/css", "app.js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Asker:
    """Asks models one picture at a time, in one thread: answers do not depend on who else is asking.

    Args:
        predictors: name -> model; loaded when it is first asked.
    """

    def __init__(self, predictors: dict[str, Predictor]):
        self.predictors, self._recent = predictors, []
        self._thread = ThreadPoolExecutor(1, initializer=_prepare)

    async def ask(self, name: str, point: str, explained: str, pictures: bool, content: bytes) -> dict:
        """The answer as JSON: what `chest-transfer predict --json` says of the picture, and pictures if asked for.

        Raises:
            RequestError: no such model, operating point or class, or no picture.
        """
        work = partial(self._answer, name, point, explained, pictures, content)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)

    def _answer(self, name: str, point: str, explained: str, pictures: bool, content: bytes) -> dict:
        predictor = self._predictor(name, point)
        if explained and explained not in predictor.classes:
            raise RequestError(404, str(unknown_name("class", explained, predictor.classes)))
        prediction = next(predictor.predict([Picture("", content)]))
        if prediction.error:
            raise RequestError(422, prediction.error)
        answer = {"model": name, "operating_point": predictor.point, "threshold": predictor.threshold}
        answer |= {key: value for key, value in prediction.record().items() if key not in ("name", "error")}
        if pictures:
            explained = explained or predictor.explained(prediction)
            shown = read_grey(content, LONGEST).at_most(LONGEST)
            heat = predictor.heat_maps([prediction], [explained])[0]
            over = laid_out(heat, *shown.shape[::-1], predictor.facts["fit"])
            answer |= {"explained": explained, "picture": _inline(shown), "heat_map": _inline(over)}
        return answer

    def _predictor(self, name: str, point: str) -> Predictor:
        if name not in self.predictors:
            raise RequestError(404, str(unknown_name("model", name, list(self.predictors))))
        self._keep(name)
        try:
            return self.predictors[name].at(point)
        except ChestTransferError as error:
            raise RequestError(404, str(error)) from None

    def _keep(self, name: str) -> None:
        """Let go of the model that was asked longest ago, where there are more than `KEPT`."""
        self._recent = [*(one for one in self._recent if one != name), name]
        if len(self._recent) > KEPT:
            oldest = self._recent.pop(0)
            self.predictors[oldest] = Predictor(self.predictors[oldest].path)


def _prepare() -> None:
    from chest_transfer.training.determinism import pin

    pin(seed=0, threads=os.cpu_count() or 1)


def _inline(pixels) -> str:
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def app(predictors: dict[str, Predictor], hosts: list[str]) -> Starlette:
    """The app that answers for some models.

    Args:
        predictors: name -> model.
        hosts: names under which it may be asked, so that no page from elsewhere can pass for it; `*` is any.
    """
    asker, models, uploads = Asker(predictors), known(predictors), Uploads()
    page = {name: files("chest_transfer.serving").joinpath(name).read_text() for name in PAGE}

    async def served(request: Request) -> Response:
        name = request.path_params.get("file", "app.html")
        if name not in PAGE:
            raise HTTPException(404)
        return Response(page[name], media_type=PAGE[name], headers=HEADERS)

    async def of_models(request: Request) -> Response:
        limits = {"bytes": MAX_UPLOAD_BYTES}
        return JSONResponse({"models": models, "examples": list(EXAMPLES), "limits": limits}, headers=HEADERS)

    async def of_example(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in EXAMPLES:
            raise RequestError(404, str(unknown_name("example", name, list(EXAMPLES))))
        content = await asyncio.to_thread(example, name)
        return Response(content, media_type="image/png", headers=HEADERS)

    async def predict(request: Request) -> Response:
        asked = request.query_params
        async with uploads.receive(request) as content:
            answer = await asker.ask(
                asked.get("model", models[0]["name"]), asked.get("operating_point", "youden"),
                asked.get("explain", ""), asked.get("pictures") == "1", content,
            )  # fmt: skip
        return JSONResponse(answer, headers=HEADERS)

    @asynccontextmanager
    async def lifespan(_) -> AsyncIterator[None]:
        # TensorFlow and the first model are loaded while the page is already there.
        content = await asyncio.to_thread(example, next(iter(EXAMPLES)))
        first = asyncio.create_task(asker.ask(models[0]["name"], "youden", "", True, content))
        yield
        first.cancel()
        asker.close()

    return Starlette(
        routes=[
            Route("/", served),
            Route("/{file}", served),
            Route("/api/models", of_models),
            Route("/api/predict", predict, methods=["POST"]),
            Route("/examples/{name}", of_example),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
        exception_handlers={RequestError: _refusal, HTTPException: _refusal, Exception: _failure},
        lifespan=lifespan,
    )


def _refusal(request: Request, error: RequestError | HTTPException) -> Response:
    status = error.status if isinstance(error, RequestError) else error.status_code
    reason = str(error) if isinstance(error, RequestError) else error.detail
    # After 408 and 503 the client may still be sending: its connection would stay open.
    headers = HEADERS | {"Connection": "close"} if status in (408, 503) else HEADERS
    return JSONResponse({"error": reason}, status, headers=headers)


def _failure(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the app failed; its terminal tells more"}, 500, headers=HEADERS)


def serve(predictors: dict[str, Predictor], host: str, port: int) -> None:
    """Serve the app until it is interrupted; 0 is any free port.

    Raises:
        ChestTransferError: the address is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ChestTransferError(f"cannot listen on {host}, port {port} ({reason}); choose another by --port") from None
    port = listening.getsockname()[1]
    print(f"{len(predictors)} models on http://{host}:{port} until Ctrl-C. Not a medical device.", flush=True)
    if host not in LOOPBACK:
        print("Whoever reaches this machine can use it: there is no password.", flush=True)
    hosts = list(LOOPBACK) if host in LOOPBACK else ["*"]
    config = uvicorn.Config(
        app(predictors, hosts), http=TimedProtocol, limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=5,
        log_level="warning", access_log=False, server_header=False,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
