"""The app over HTTP and in a browser: it predicts as the command does, stores nothing, and explains every error."""

import asyncio
import base64
import contextlib
import http.client
import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from conftest import (
    ENVIRONMENT,
    PATIENT_NAME,
    ROOT,
    TENSORFLOW_NOTES,
    change_settings,
    commands,
    dicom,
    encoded,
    refused,
    run,
)
from PIL import Image

pytest.importorskip("starlette")

import uvicorn
from starlette.requests import Request

from chest_transfer.evaluation.operating_points import OPERATING_POINTS
from chest_transfer.serving.app import PredictionQueue
from chest_transfer.serving.collection import OPERATING_POINT_LABELS, collect_models, describe_models
from chest_transfer.serving.examples import example
from chest_transfer.serving.overlays import heat_map_overlay
from chest_transfer.serving.predictor import Predictor
from chest_transfer.serving.uploads import MAX_UPLOAD_BYTES, RequestError, TimedProtocol, Uploads

BROKEN_UPLOADS = 1000


class Server:
    """The app serving a project on a free port.

    Args:
        project: Path, the folder to start the app in.
        *arguments: Strings, further arguments of `chest-transfer app`.
    """

    def __init__(self, project: Path, *arguments: str):
        self.temporary_folder = project.parent / "temporary"
        self.temporary_folder.mkdir(exist_ok=True)
        self.log = (project.parent / "app.log").open("w+")
        environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(self.temporary_folder)}
        command = [sys.executable, "-m", "chest_transfer.cli", "app", *arguments, "--port", "0"]
        self.process = subprocess.Popen(
            command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        first_line = self.process.stdout.readline()
        match = re.search(r"http://127\.0\.0\.1:(\d+)", first_line)
        assert match, first_line + Path(self.log.name).read_text()
        self.port = int(match[1])
        self.address = f"http://127.0.0.1:{self.port}"

    def request(self, path: str, body: bytes | None = None, timeout: float = 60, **headers: str):
        """Send a GET request, or a POST request with `body`; return its status, content and headers."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            connection.request("GET" if body is None else "POST", path, body, headers)
            response = connection.getresponse()
            return response.status, response.read(), dict(response.getheaders())

    def get_json(self, path: str):
        return json.loads(self.request(path)[1])

    def predict(self, image: bytes, **query: str) -> dict:
        parameters = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
        status, content, _ = self.request(f"/api/predict?{parameters}", image)
        return {"status": status} | json.loads(content)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.process.stdout.close()
        self.log.close()


@pytest.fixture(scope="module")
def server(evaluated):
    server = Server(evaluated)
    yield server
    server.stop()


TRAINED, PROBED = "pneumonia/cnn/train-none-seed1-all", "pneumonia/cnn/probe-none-seed1-all"


def decode(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


IMAGES = {
    "child.png": example("child with pneumonia"),
    "effusion.dcm": dicom(np.asarray(decode(example("pleural effusion")))),
    "photograph.jpg": encoded(np.random.default_rng(1).integers(0, 255, (90, 70, 3), np.uint8), "JPEG"),
    "sixteen.png": encoded(np.random.default_rng(2).integers(0, 4000, (64, 64)).astype(np.uint16)),
}


@pytest.fixture(scope="module")
def printed_at(evaluated, tmp_path_factory) -> dict[str, dict]:
    """What the command prints for the images at each operating point."""
    folder = tmp_path_factory.mktemp("images")
    for name, content in IMAGES.items():
        (folder / name).write_bytes(content)
    files = [str(folder / name) for name in IMAGES]
    predict = ["predict", "models/pneumonia/cnn/train-none-seed1-all.keras", *files, "--json", "--operating-point"]
    printed = commands(evaluated, *((*predict, operating_point) for operating_point in OPERATING_POINTS))
    return {point: json.loads(output) for point, output in zip(OPERATING_POINTS, printed, strict=True)}


@pytest.mark.parametrize("operating_point", OPERATING_POINTS)
def test_predictions_equal_those_of_the_command_to_a_millionth(server, printed_at, operating_point):
    printed = printed_at[operating_point]
    for content, expected in zip(IMAGES.values(), printed["predictions"], strict=True):
        prediction = server.predict(content, model=TRAINED, operating_point=operating_point)
        assert prediction["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
        assert (prediction["predicted"], prediction["cautions"]) == (expected["predicted"], expected["cautions"])
        assert prediction["threshold"] == printed["model"]["threshold"]


def test_each_model_is_listed_with_its_scores_training_set_and_cautions(server, evaluated):
    models = server.get_json("/api/models")["models"]
    detail = json.loads((evaluated / "metrics/detail/pneumonia.json").read_text())
    summary = json.loads((evaluated / "metrics/data/pneumonia.json").read_text())
    assert {model["name"] for model in models} == {
        TRAINED,
        PROBED,
    }
    for model in models:
        regime = model["regime"]
        scores = detail[regime]["none"]
        assert model["auc"] == [scores["auc"], scores["auc_low"], scores["auc_high"]]
        images, patients = summary["images"]["train"], summary["patients"]["train"]
        assert model["trained_on"] == f"{images} radiographs of {patients} patients"
        assert any(caution["serious"] and "simulated" in caution["text"] for caution in model["cautions"])
        assert list(model["points"]) == list(OPERATING_POINT_LABELS)
    validation_auc = [model["validation_auc"] for model in models]
    assert validation_auc == sorted(validation_auc, reverse=True)


def test_only_the_most_recently_used_models_stay_in_memory(evaluated, monkeypatch):
    monkeypatch.setattr("chest_transfer.serving.app.MAX_LOADED_MODELS", 2)
    predictors = {name: Predictor(evaluated / "models/best/pneumonia.keras") for name in "abc"}
    queue = PredictionQueue(dict(predictors))
    for name in "abac":
        queue._mark_used(name)
    assert [name for name in "abc" if queue.predictors[name] is predictors[name]] == ["a", "c"]
    assert queue.predictors["b"].path == predictors["b"].path
    queue.close()


def test_every_operating_point_has_a_description():
    assert list(OPERATING_POINT_LABELS) == list(OPERATING_POINTS)


def test_a_heat_map_has_the_shape_of_its_radiograph(server):
    image = example("healthy adult")
    prediction = server.predict(image, model=TRAINED, explain="NORMAL", pictures="1")
    assert prediction["explained"] == "NORMAL"
    encoded_images = [prediction[key].removeprefix("data:image/png;base64,") for key in ("picture", "heat_map")]
    sizes = {decode(base64.b64decode(encoded_image)).size for encoded_image in encoded_images}
    assert sizes == {decode(image).size}


@pytest.mark.parametrize(("fit", "corner", "middle"), [("squeeze", 255, 255), ("pad", 255, 255), ("crop", 0, 255)])
def test_the_heat_map_covers_the_part_that_the_model_saw(fit, corner, middle):
    overlay = heat_map_overlay(np.ones((8, 8), np.float32), 60, 90, fit)
    assert overlay.shape == (90, 60, 4)
    assert (overlay[0, 0, 3], overlay[45, 30, 3]) == (corner, middle)


def test_the_heat_map_keeps_positions_for_every_fit():
    heat_map = np.zeros((90, 90), np.float32)
    heat_map[45, 30] = 1
    # The left edge of an image of 60 x 90 pixels that was padded to a square is at column 15.
    for fit, expected in (("squeeze", (45, 20)), ("pad", (45, 15))):
        opacity = heat_map_overlay(heat_map, 60, 90, fit)[..., 3]
        highest = np.unravel_index(opacity.argmax(), opacity.shape)
        assert np.abs(np.subtract(highest, expected)).max() <= 1


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/api/predict?model=covid", b"x", 404, "unknown model 'covid'"),
        ("/api/predict?model=../../params.yaml", b"x", 404, "unknown model"),
        ("/api/predict?operating_point=best", example("healthy child"), 404, "no operating point 'best'"),
        ("/api/predict?explain=HERNIA", example("healthy child"), 404, "unknown class 'HERNIA'"),
        ("/api/predict", b"", 400, "no image in the request"),
        ("/api/predict", b"not an image", 422, "it cannot be read: not an image in one of"),
        ("/api/predict", bytes(MAX_UPLOAD_BYTES + 1), 413, "larger than"),
        ("/api/predict", None, 405, "Method Not Allowed"),
        ("/params.yaml", None, 404, "Not Found"),
        ("/../params.yaml", None, 404, "Not Found"),
        ("/%2e%2e/%2e%2e/etc/passwd", None, 404, "Not Found"),
        ("/..%2f..%2fetc%2fpasswd", None, 404, "Not Found"),
        ("/examples/..%2f..%2fparams.yaml", None, 404, "Not Found"),
        ("/examples/cat", None, 404, "unknown example 'cat'"),
    ],
)  # fmt: skip
def test_errors_are_one_line_and_reveal_no_paths(server, path, body, status, reason):
    received_status, content, _ = server.request(path, body)
    error = json.loads(content)["error"]
    assert received_status == status
    assert reason in error
    assert "\n" not in error
    assert str(server.temporary_folder.parent) not in error.replace("models/", "")


def test_only_local_hosts_are_accepted_and_the_page_loads_nothing_from_elsewhere(server):
    assert server.request("/", Host="evil.example")[0] == 400
    for path in ("/", "/app.css", "/app.js"):
        status, content, headers = server.request(path)
        assert status == 200
        assert not re.findall(rb"(?:https?:)?//[a-z]", content)
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "server" not in headers


def start_upload(server: Server, content: bytes, declared: int) -> socket.socket:
    """Open a connection that announces `declared` bytes, sends `content`, and then nothing more."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=90)
    head = f"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {declared}\r\n\r\n"
    connection.sendall(head.encode() + content)
    return connection


@pytest.mark.parametrize(("clients", "sent"), [(8, 10), (100, 10), (16, 39_000_000)])
def test_stalled_uploads_do_not_keep_others_from_being_answered(server, clients, sent):
    server.predict(example("healthy child"))  # the model is loaded by now
    with contextlib.ExitStack() as stack:
        for _ in range(clients):
            stack.enter_context(start_upload(server, bytes(sent), declared=40_000_000))
        start = time.monotonic()
        assert server.request("/api/predict", example("healthy child"), timeout=20)[0] == 200
        assert time.monotonic() - start < 10


def upload_request(*chunks: bytes, stalls: bool = False) -> Request:
    """A request whose body arrives in these chunks and then ends, or never ends."""
    remaining = list(chunks)

    async def receive() -> dict:
        if not remaining and stalls:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": remaining.pop(0), "more_body": bool(remaining) or stalls}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


async def upload_status(uploads: Uploads, request: Request) -> int:
    try:
        async with uploads.receive(request):
            return 200
    except RequestError as error:
        return error.status


def test_a_slow_upload_is_answered_with_408_after_the_timeout(monkeypatch):
    monkeypatch.setattr("chest_transfer.serving.uploads.TIMEOUT", 0.2)

    async def scenario():
        uploads = Uploads()
        assert await upload_status(uploads, upload_request(b"slow", stalls=True)) == 408
        assert uploads.held == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("limits", [{"max_total_bytes": 10}, {"max_uploads": 2}])
def test_the_upload_that_was_silent_for_longest_makes_way(limits):
    async def scenario():
        uploads = Uploads(**limits)
        silent = asyncio.create_task(upload_status(uploads, upload_request(b"aaaa", stalls=True)))
        await asyncio.sleep(0.01)
        other = asyncio.create_task(upload_status(uploads, upload_request(b"bbbb", stalls=True)))
        await asyncio.sleep(0.01)
        async with uploads.receive(upload_request(b"cc", b"cc")) as content:
            assert content == b"cccc"
            assert uploads.held == 8
        assert await silent == 503
        assert not other.done()
        other.cancel()
        await asyncio.wait([other])
        assert uploads.held == 0

    asyncio.run(scenario())


def test_uploads_that_wait_for_the_model_count_and_are_never_dropped():
    async def scenario():
        uploads = Uploads(max_total_bytes=10)
        async with (
            uploads.receive(upload_request(b"aaaa")) as first,
            uploads.receive(upload_request(b"bbbb")) as second,
        ):
            assert await upload_status(uploads, upload_request(b"cccc")) == 503
            assert (first, second, uploads.held) == (b"aaaa", b"bbbb", 8)
        assert await upload_status(uploads, upload_request(b"cccc")) == 200
        assert uploads.held == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET "])
def test_a_connection_without_a_whole_request_is_closed_after_the_timeout(monkeypatch, sent):
    monkeypatch.setattr("chest_transfer.serving.uploads.TIMEOUT", 0.3)

    async def answer(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def scenario():
        config = uvicorn.Config(answer, lifespan="off", log_config=None)  # its own would close pytest's handlers
        config.load()
        state = uvicorn.server.ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: TimedProtocol(config, state, {}), "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(sent)
            with contextlib.suppress(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 3)
            writer.close()

    asyncio.run(scenario())


def corrupted(rng: np.random.Generator, valid_files: list[bytes]) -> bytes:
    """Corrupt a random one of some image files."""
    content = bytearray(valid_files[rng.integers(len(valid_files))])
    kind = rng.integers(7)
    if kind == 0:  # truncated
        return bytes(content[: rng.integers(len(content))])
    if kind == 1:  # noise
        return rng.bytes(int(rng.integers(1, 5000)))
    if kind == 2:  # bytes of the header, where sizes and types are stored
        for position in rng.integers(0, min(len(content), 400), rng.integers(1, 12)):
            content[position] = rng.integers(256)
    elif kind == 3:  # flipped bits
        for position in rng.integers(0, len(content), rng.integers(1, 60)):
            content[position] ^= 1 << rng.integers(8)
    elif kind == 4:  # a part removed
        start, end = sorted(rng.integers(0, len(content), 2))
        del content[start:end]
    elif kind == 5:  # the end replaced by that of another file
        other = valid_files[rng.integers(len(valid_files))]
        content[rng.integers(len(content)) :] = other[rng.integers(len(other)) :]
    else:  # noise inserted after the signature
        content[8:8] = rng.bytes(int(rng.integers(1, 300)))
    return bytes(content)


def decompression_bomb(side: int) -> bytes:
    """Make a small PNG whose header claims side x side pixels."""
    header = b"IHDR" + side.to_bytes(4) * 2 + bytes([8, 0, 0, 0, 0])
    data = b"IDAT" + zlib.compress(bytes(1_000_000))
    chunks = b""
    for chunk in (header, data, b"IEND"):
        chunks += (len(chunk) - 4).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_a_thousand_broken_uploads_get_a_response_and_leave_no_files(server, evaluated):
    files_before = sorted(evaluated.rglob("*")), list(server.temporary_folder.rglob("*"))
    rng = np.random.default_rng(11)
    pixels = np.asarray(decode(example("COVID")).resize((160, 160)))
    formats = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP", "JPEG2000", "PPM", "TGA")
    valid_files = [encoded(pixels, name) for name in formats]
    valid_files += [encoded(pixels.astype(np.uint16) * 99), dicom(pixels), dicom(pixels.astype(np.uint16) * 9)]
    handmade = [
        decompression_bomb(9_000), decompression_bomb(60_000), b"PK\x03\x04" + bytes(500), b"<html></html>",
        b"\0" * 128 + b"DICM", bytes(50 * 1024 * 1024), dicom(pixels, Rows=65_000, Columns=65_000), b"%PDF-1.7",
        b"\xff\xd8\xff",
    ]  # fmt: skip
    statuses = []
    for number in range(BROKEN_UPLOADS):
        content = handmade[number] if number < len(handmade) else corrupted(rng, valid_files)
        name = rng.choice(["../../etc/passwd", "a\0b.png", "C:\\x.png", "x" * 3000, "ok.png"])
        headers = {"Content-Disposition": f'attachment; filename="{quote(str(name))}"'}
        statuses.append(server.request("/api/predict?pictures=1", content, **headers)[0])
    assert set(statuses) <= {200, 400, 413, 422}, Path(server.log.name).read_text()[-3000:]
    assert min(statuses.count(200), statuses.count(422)) > BROKEN_UPLOADS / 20
    assert server.predict(example("healthy child"))["status"] == 200
    assert (sorted(evaluated.rglob("*")), list(server.temporary_folder.rglob("*"))) == files_before
    log = Path(server.log.name).read_text().splitlines()
    assert [line for line in log if not line.startswith(TENSORFLOW_NOTES)] == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere"], "unknown model 'nowhere'"),
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1"),
        (["strange.keras"], "is no saved model of this project"),
    ],
)
def test_an_app_that_cannot_start_says_why(evaluated, arguments, reason):
    (evaluated / "strange.keras").write_text("print('no model')")
    (evaluated / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    command = [sys.executable, "-m", "chest_transfer.cli", "app", *arguments]
    assert reason in refused(run(evaluated, *command, check=False, PYTHONPATH=str(ROOT / "src")))
    (evaluated / "strange.keras").unlink()
    (evaluated / "dvc.lock").unlink()


def test_a_model_without_metrics_is_served_and_its_scores_are_reported_as_unknown(evaluated, tmp_path):
    path = tmp_path / "elsewhere/model.keras"
    path.parent.mkdir()
    shutil.copy(evaluated / "models/best/pneumonia.keras", path)
    server = Server(path.parent, "model.keras")
    try:
        [model] = server.get_json("/api/models")["models"]
        assert model["auc"] is None
        assert "No scores are known" in model["cautions"][0]["text"]
        assert server.predict(example("healthy child"))["status"] == 200
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("key", "value", "is_known"),
    [
        ("threads", 1, True),
        ("seeds", [2], False),
        ("patients", [20], False),
        ("image_size", 64, False),
        ("train__epochs", 9, False),
        ("preprocess__fit", "pad", False),
    ],
)
def test_scores_are_shown_only_of_models_that_were_made_with_these_settings(
    evaluated, tmp_path, monkeypatch, key, value, is_known
):
    folder = shutil.copytree(evaluated, tmp_path / "project")
    change_settings(folder / "params.yaml", **{key: value})
    monkeypatch.chdir(folder)
    [model] = describe_models(collect_models([TRAINED]))
    assert (model["auc"] is not None) == is_known
    assert ("Not made with the settings in params.yaml" in model["cautions"][0]["text"]) != is_known


@pytest.fixture
def page(server, browser):
    """The page at desktop width; fails if it raised an error or sent a request to any other server."""
    urls, errors = [], []
    with browser.new_page(viewport={"width": 1200, "height": 900}) as page:
        page.on("request", lambda request: urls.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server.address)
        page.wait_for_selector("#examples button")
        yield page
    assert errors == []
    assert [url for url in urls if not url.startswith((server.address, "data:", "blob:"))] == []


@pytest.mark.browser
def test_every_selected_file_gets_a_result(page, tmp_path):
    (tmp_path / "broken.png").write_bytes(IMAGES["child.png"][:900])
    (tmp_path / "scan").write_bytes(IMAGES["effusion.dcm"])
    page.click("text=healthy child")
    page.wait_for_selector("text=1 radiograph analyzed.")
    page.set_input_files("#files", [tmp_path / "scan", tmp_path / "broken.png"])
    page.wait_for_selector("text=2 radiographs analyzed.")
    assert page.locator("article h3").all_inner_texts() == ["scan", "broken.png", "simulated: healthy child"]
    verdicts = page.locator(".verdict").all_inner_texts()
    assert verdicts[1] == (
        "Not analyzed: the file is incomplete, as after a transfer that was cut short; copy or export it again."
    )
    answers = ("Pneumonia found", "No pneumonia found; nothing else was looked for.")
    assert all(verdict.startswith(answers) for verdict in (verdicts[0], verdicts[2]))
    assert page.locator("article .simulated").all_inner_texts()[0].startswith("This model saw simulated patients alone")
    assert PATIENT_NAME not in page.content()
    assert page.locator("article:nth-child(2) input").is_hidden()
    assert page.evaluate(
        "[...document.querySelectorAll('article:not(:nth-child(2)) img')].every((i) => i.naturalWidth)"
    )


@pytest.mark.browser
def test_selecting_another_model_predicts_again_and_shows_its_scores(page, server):
    page.click("text=healthy child")
    page.wait_for_selector("text=1 radiograph analyzed.")
    for name in (PROBED, TRAINED):
        with page.expect_response(lambda response: "/api/predict" in response.url) as response:
            page.select_option("#model", name)
        prediction = response.value.json()
        assert prediction["model"] == name
        percentage = f"{100 * prediction['probabilities']['PNEUMONIA']:.1f}%"
        page.wait_for_selector(f".value:text-is('{percentage}')")
        mark = float(page.eval_on_selector(".cut", "mark => parseFloat(mark.style.left)"))
        assert mark == pytest.approx(100 * prediction["threshold"], abs=1e-3)
        [model] = [model for model in server.get_json("/api/models")["models"] if model["name"] == name]
        auc, low, high = model["auc"]
        interval = f"95% CI: {low:.3f} to {high:.3f}" if low is not None else "too few patients for an interval"
        assert f"{auc:.3f} ({interval})" in page.inner_text("#facts")
    page.wait_for_selector("#warnings >> text=simulated")
    assert "Not a medical device" in page.inner_text("header")


def show_heat_map(page) -> None:
    """Ask for the heat map, where this model's maps were not shown to point to the disease."""
    if page.locator("article .nevertheless").first.is_visible():
        assert page.inner_text("article .why").startswith("No heat map: ")
        page.locator("article .nevertheless").first.focus()
        page.keyboard.press("Enter")


@pytest.mark.browser
def test_the_slider_fades_the_heat_map(page):
    page.click("text=healthy child")
    page.wait_for_selector("text=1 radiograph analyzed.")
    show_heat_map(page)
    for value in ("0", "80"):
        page.fill("article input", value)
        assert float(page.eval_on_selector(".heat", "heat => heat.style.opacity")) == int(value) / 100
    sizes = page.eval_on_selector_all(".shown img", "images => images.map((i) => [i.clientWidth, i.clientHeight])")
    assert sizes[0] == sizes[1]


@pytest.mark.browser
def test_the_page_can_be_used_by_keyboard_alone(page):
    for _ in range(30):
        page.keyboard.press("Tab")
        if "healthy adult" in page.evaluate("document.activeElement.innerText"):
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("text=1 radiograph analyzed.")
    show_heat_map(page)
    page.focus("article .classes button")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "range":
            break
    page.keyboard.press("ArrowLeft")
    assert float(page.eval_on_selector(".heat", "heat => heat.style.opacity")) == 0.54
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


@pytest.mark.browser
def test_the_answers_of_a_session_are_a_table_to_download_and_to_clear(page, tmp_path):
    (tmp_path / "=1+1.png").write_bytes(IMAGES["child.png"])
    page.set_input_files("#files", [tmp_path / "=1+1.png"])
    page.wait_for_selector("text=1 radiograph analyzed.")
    page.select_option("#model", PROBED if page.input_value("#model") == TRAINED else TRAINED)
    page.wait_for_selector("#answers tr:nth-child(2)")
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "answers.csv")
    table = pd.read_csv(tmp_path / "answers.csv")
    assert table["file"].tolist() == ["'=1+1.png"] * 2  # no formula for a spreadsheet
    assert table["operating_point"].tolist() == ["youden"] * 2
    assert table["trained_on"].tolist() == ["simulated patients"] * 2
    assert set(table["model"]) == {PROBED, TRAINED}
    page.click("#clear")
    assert page.locator("#session").is_hidden()


@pytest.mark.browser
def test_files_that_are_left_out_are_named_and_a_radiograph_can_be_enlarged(page, tmp_path):
    files = [tmp_path / f"{number:02d}.png" for number in range(22)]
    for file in files:
        file.write_bytes(b"no image")
    page.set_input_files("#files", files)
    page.wait_for_selector("text=20 radiographs analyzed.")
    assert page.inner_text("#left-out").endswith("at a time: 20.png, 21.png.")
    page.click("text=healthy child")
    page.wait_for_selector("text=1 radiograph analyzed.")
    assert page.locator("#left-out").is_hidden()
    page.locator("article .shown").first.click()
    width = page.locator("#enlarged .radiograph").bounding_box()["width"]
    page.click("#larger")
    assert page.locator("#enlarged .radiograph").bounding_box()["width"] == pytest.approx(1.5 * width, rel=0.05)
    page.click("#close")
    assert page.locator("#enlarged").is_hidden()


@pytest.mark.browser
def test_the_page_fits_on_a_phone_without_horizontal_scrolling(page):
    page.set_viewport_size({"width": 390, "height": 800})
    page.click("text=COVID")
    page.wait_for_selector("text=1 radiograph analyzed.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("article .shown").bounding_box()["width"] > 300
