"""The web app: a page that shows what models predict for radiographs, and the same predictions as an HTTP API.

Run it with `chest-transfer app`. Uploads are held in memory only and are not logged.
"""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.resources import files

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chest_transfer.data.radiographs import decode_image
from chest_transfer.errors import ChestTransferError, unknown_name_error
from chest_transfer.serving.answers import found_findings, unreadable_in_words
from chest_transfer.serving.collection import describe_models
from chest_transfer.serving.examples import EXAMPLES, example
from chest_transfer.serving.image_files import ImageFile
from chest_transfer.serving.overlays import MAX_DISPLAY_SIDE, encode_png, heat_map_overlay
from chest_transfer.serving.predictor import Predictor
from chest_transfer.serving.uploads import MAX_UPLOAD_BYTES, RequestError, TimedProtocol, Uploads

MAX_CONNECTIONS = 128  # more than `MAX_UPLOADS`, so that uploads alone cannot use them all
MAX_LOADED_MODELS = 4
LOOPBACK_HOSTS = ("127.0.0.1", "localhost")
PAGE_FILES = {"app.html": "text/html", "app.css": "text/css", "app.js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class PredictionQueue:
    """Runs models on one image at a time, in a single thread, so that predictions do not depend on other requests.

    Args:
        predictors: Dictionary of model name to `Predictor`. Each loads its model when it is first used.
    """

    def __init__(self, predictors: dict[str, Predictor]):
        self.predictors = predictors
        self._recently_used: list[str] = []  # names of the models that may be loaded, the most recent last
        self._thread = ThreadPoolExecutor(1, initializer=_configure_tensorflow)

    async def predict(
        self, name: str, operating_point: str, explained_class: str, with_images: bool, content: bytes
    ) -> dict:
        """Return the prediction for one image as JSON, with the fields of `chest-transfer predict --json`.

        Args:
            name: String, name of the model.
            operating_point: String, one of those saved with the model.
            explained_class: String, class that the heat map explains. Empty for the model's choice.
            with_images: Boolean, whether to add the radiograph and its heat map as PNG data URLs.
            content: Bytes of the image file.

        Raises:
            RequestError: If the model, operating point or class is unknown, or the image cannot be read.
        """
        work = partial(self._predict, name, operating_point, explained_class, with_images, content)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Cancel the predictions that have not started, and end the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _predict(
        self, name: str, operating_point: str, explained_class: str, with_images: bool, content: bytes
    ) -> dict:
        predictor = self._predictor(name, operating_point)
        if explained_class and explained_class not in predictor.classes:
            raise RequestError(404, str(unknown_name_error("class", explained_class, predictor.classes)))
        prediction = next(predictor.predict([ImageFile("", content)]))
        if prediction.error:
            raise RequestError(422, unreadable_in_words(prediction.error))
        response = {"model": name, "operating_point": predictor.operating_point, "threshold": predictor.threshold}
        response["simulated"] = predictor.facts.simulated
        response["is_ill"] = bool(found_findings(predictor.classes, predictor.multi_label, prediction.labels))
        response |= {key: value for key, value in prediction.record().items() if key not in ("name", "error")}
        if with_images:
            explained_class = explained_class or predictor.explained_class(prediction)
            radiograph = decode_image(content, MAX_DISPLAY_SIDE).thumbnail(MAX_DISPLAY_SIDE)
            height, width = radiograph.shape
            heat_map = predictor.heat_maps([prediction], [explained_class])[0]
            overlay = heat_map_overlay(heat_map, width, height, predictor.facts.fit, prediction.window)
            response |= {"explained": explained_class, "picture": _data_url(radiograph), "heat_map": _data_url(overlay)}
        return response

    def _predictor(self, name: str, operating_point: str) -> Predictor:
        if name not in self.predictors:
            raise RequestError(404, str(unknown_name_error("model", name, list(self.predictors))))
        self._mark_used(name)
        try:
            return self.predictors[name].at(operating_point)
        except ChestTransferError as error:
            raise RequestError(404, str(error)) from None

    def _mark_used(self, name: str) -> None:
        """Unload the least recently used model if more than `MAX_LOADED_MODELS` would be in memory."""
        self._recently_used = [*(other for other in self._recently_used if other != name), name]
        if len(self._recently_used) > MAX_LOADED_MODELS:
            oldest = self._recently_used.pop(0)
            self.predictors[oldest] = Predictor(self.predictors[oldest].path)


def _configure_tensorflow() -> None:
    from chest_transfer.training.determinism import use_all_threads

    use_all_threads()


def _data_url(pixels: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode()


def create_app(predictors: dict[str, Predictor], allowed_hosts: list[str]) -> Starlette:
    """Create the app that serves some models.

    Args:
        predictors: Dictionary of model name to `Predictor`.
        allowed_hosts: List of strings, accepted values of the Host header, so that no web page can reach the app under
            a name of its own (DNS rebinding). `*` accepts any.
    """
    queue = PredictionQueue(predictors)
    models = describe_models(predictors)
    uploads = Uploads()
    page = {name: files("chest_transfer.serving").joinpath(name).read_text() for name in PAGE_FILES}

    async def serve_page(request: Request) -> Response:
        name = request.path_params.get("file", "app.html")
        if name not in PAGE_FILES:
            raise HTTPException(404)
        return Response(page[name], media_type=PAGE_FILES[name], headers=HEADERS)

    async def list_models(request: Request) -> Response:
        limits = {"bytes": MAX_UPLOAD_BYTES}
        return JSONResponse({"models": models, "examples": list(EXAMPLES), "limits": limits}, headers=HEADERS)

    async def serve_example(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in EXAMPLES:
            raise RequestError(404, str(unknown_name_error("example", name, list(EXAMPLES))))
        content = await asyncio.to_thread(example, name)
        return Response(content, media_type="image/png", headers=HEADERS)

    async def predict(request: Request) -> Response:
        query = request.query_params
        async with uploads.receive(request) as content:
            response = await queue.predict(
                query.get("model", models[0]["name"]),
                query.get("operating_point", "youden"),
                query.get("explain", ""),
                query.get("pictures") == "1",
                content,
            )
        return JSONResponse(response, headers=HEADERS)

    @asynccontextmanager
    async def lifespan(_) -> AsyncIterator[None]:
        # Load TensorFlow and the first model while the user is still looking at the page.
        content = await asyncio.to_thread(example, next(iter(EXAMPLES)))
        first = asyncio.create_task(queue.predict(models[0]["name"], "youden", "", True, content))
        yield
        first.cancel()
        queue.close()

    return Starlette(
        routes=[
            Route("/", serve_page),
            Route("/{file}", serve_page),
            Route("/api/models", list_models),
            Route("/api/predict", predict, methods=["POST"]),
            Route("/examples/{name}", serve_example),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=allowed_hosts)],
        exception_handlers={
            RequestError: _request_error,
            HTTPException: _http_exception,
            Exception: _internal_error,
        },
        lifespan=lifespan,
    )


def _request_error(request: Request, error: RequestError) -> Response:
    # After 408 and 503 the client may still be sending, which would keep its connection open.
    headers = HEADERS | {"Connection": "close"} if error.status in (408, 503) else HEADERS
    return JSONResponse({"error": str(error)}, error.status, headers=headers)


def _http_exception(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, headers=HEADERS)


def _internal_error(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "internal error; see the terminal that runs the app"}, 500, headers=HEADERS)


def serve(predictors: dict[str, Predictor], host: str, port: int) -> None:
    """Serve the app until it is interrupted.

    Args:
        predictors: Dictionary of model name to `Predictor`.
        host: String, address to listen on.
        port: Integer, port to listen on. 0 for any free one.

    Raises:
        ChestTransferError: If the address is in use or does not belong to this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ChestTransferError(
            f"cannot listen on {host}, port {port} ({reason}); choose another port with --port"
        ) from None
    port = listening.getsockname()[1]
    count = f"{len(predictors)} model{'s' if len(predictors) > 1 else ''}"
    print(f"Serving {count} on http://{host}:{port} (press Ctrl-C to stop). Not a medical device.", flush=True)
    if host not in LOOPBACK_HOSTS:
        print("There is no password: anyone who can reach this machine can use the app.", flush=True)
    allowed_hosts = list(LOOPBACK_HOSTS) if host in LOOPBACK_HOSTS else ["*"]
    config = uvicorn.Config(
        create_app(predictors, allowed_hosts),
        http=TimedProtocol,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=5,
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
