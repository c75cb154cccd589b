"""The app, asked over HTTP and in a browser: the command's answers, nothing kept, nothing refused without a word."""

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
import pytest
from conftest import ENVIRONMENT, PATIENT_NAME, ROOT, dicom, encoded, refused, run
from PIL import Image

pytest.importorskip("starlette")

import uvicorn
from starlette.requests import Request

from chest_transfer.serving.app import Asker
from chest_transfer.serving.collection import POINTS
from chest_transfer.serving.examples import example
from chest_transfer.serving.overlays import laid_out
from chest_transfer.serving.predicting import Predictor
from chest_transfer.serving.uploads import MAX_UPLOAD_BYTES, RequestError, TimedProtocol, Uploads
from chest_transfer.training.operating import OPERATING_POINTS

FUZZED = 1000


class Server:
    """The app of a project, listening on a free port."""

    def __init__(self, project: Path, *words: str):
        self.kept = project.parent / "temporary"
        self.kept.mkdir(exist_ok=True)
        self.log = (project.parent / "app.log").open("w+")
        environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(self.kept)}
        command = [sys.executable, "-m", "chest_transfer.cli", "app", *words, "--port", "0"]
        self.process = subprocess.Popen(
            command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        said = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
        assert found, said + Path(self.log.name).read_text()
        self.port = int(found[1])
        self.address = f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, content: bytes | None = None, timeout: float = 60, **headers: str):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            connection.request("GET" if content is None else "POST", path, content, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())

    def predict(self, content: bytes, **query: str) -> dict:
        words = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
        status, answer, _ = self.ask(f"/api/predict?{words}", content)
        return {"status": status} | json.loads(answer)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.process.stdout.close()
        self.log.close()


@pytest.fixture(scope="module")
def server(evaluated):
    started = Server(evaluated)
    yield started
    started.stop()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


PICTURES = {
    "child.png": example("child with pneumonia"),
    "effusion.dcm": dicom(np.asarray(opened(example("pleural effusion")))),
    "photograph.jpg": encoded(np.random.default_rng(1).integers(0, 255, (90, 70, 3), np.uint8), "JPEG"),
    "sixteen.png": encoded(np.random.default_rng(2).integers(0, 4000, (64, 64)).astype(np.uint16)),
}


@pytest.mark.parametrize("point", POINTS)
def test_the_answer_is_the_commands_to_a_millionth(server, evaluated, tmp_path, point):
    for name, content in PICTURES.items():
        (tmp_path / name).write_bytes(content)
    words = ["predict", "models/pneumonia/cnn/train-none.keras", *(str(tmp_path / name) for name in PICTURES)]
    done = run(
        evaluated, sys.executable, "-m", "chest_transfer.cli", *words, "--json", "--operating-point", point,
        PYTHONPATH=str(ROOT / "src"),
    )  # fmt: skip
    expected = json.loads(done.stdout)
    for content, told in zip(PICTURES.values(), expected["predictions"], strict=True):
        answer = server.predict(content, model="pneumonia/cnn/train-none", operating_point=point)
        assert answer["probabilities"] == pytest.approx(told["probabilities"], abs=1e-6)
        assert (answer["called"], answer["cautions"]) == (told["called"], told["cautions"])
        assert answer["threshold"] == expected["model"]["threshold"]


def test_each_model_is_told_of_with_its_score_its_data_and_its_warnings(server, evaluated):
    told = json.loads(server.ask("/api/models")[1])
    detail = json.loads((evaluated / "metrics/detail/pneumonia.json").read_text())
    summary = json.loads((evaluated / "metrics/data/pneumonia.json").read_text())
    assert {model["name"] for model in told["models"]} == {"pneumonia/cnn/train-none", "pneumonia/cnn/probe-none"}
    for model in told["models"]:
        scores = detail[model["way"].split("-")[0]]["none"]
        assert model["auc"] == [scores["auc"], scores["auc_low"], scores["auc_high"]]
        assert model["trained_on"] == [summary["images"]["train"], summary["patients"]["train"]]
        assert any(caution["serious"] and "simulated" in caution["text"] for caution in model["cautions"])
        assert list(model["points"]) == list(POINTS)
    validation = [model["validation_auc"] for model in told["models"]]
    assert validation == sorted(validation, reverse=True)


def test_a_few_models_are_kept_in_memory_those_asked_last(evaluated, monkeypatch):
    monkeypatch.setattr("chest_transfer.serving.app.KEPT", 2)
    first = {name: Predictor(evaluated / "models/pneumonia/cnn/train-none.keras") for name in "abc"}
    asker = Asker(dict(first))
    for name in "abac":
        asker._keep(name)
    assert [name for name in "abc" if asker.predictors[name] is first[name]] == ["a", "c"]
    assert asker.predictors["b"].path == first["b"].path
    asker.close()


def test_every_operating_point_is_said_in_words():
    assert tuple(POINTS) == OPERATING_POINTS


def test_a_heat_map_comes_in_the_radiographs_own_shape(server):
    answer = server.predict(example("healthy adult"), model="pneumonia/cnn/train-none", explain="NORMAL", pictures="1")
    assert answer["explained"] == "NORMAL"
    inline = [answer[key].removeprefix("data:image/png;base64,") for key in ("picture", "heat_map")]
    assert {opened(base64.b64decode(one)).size for one in inline} == {opened(example("healthy adult")).size}


@pytest.mark.parametrize(("fit", "corner", "middle"), [("squeeze", 255, 255), ("pad", 255, 255), ("crop", 0, 255)])
def test_heat_lies_over_the_part_that_the_model_saw(fit, corner, middle):
    over = laid_out(np.ones((8, 8), np.float32), 60, 90, fit)
    assert over.shape == (90, 60, 4)
    assert (over[0, 0, 3], over[45, 30, 3]) == (corner, middle)


def test_heat_stays_where_it_is_for_every_fit():
    heat = np.zeros((90, 90), np.float32)
    heat[45, 30] = 1  # the left edge of a picture of 60 x 90 padded to a square is at 15
    for fit, place in (("squeeze", (45, 20)), ("pad", (45, 15))):
        over = laid_out(heat, 60, 90, fit)[..., 3]
        assert np.abs(np.subtract(np.unravel_index(over.argmax(), over.shape), place)).max() <= 1


@pytest.mark.parametrize(
    ("path", "content", "status", "said"),
    [
        ("/api/predict?model=covid", b"x", 404, "unknown model 'covid'"),
        ("/api/predict?model=../../params.yaml", b"x", 404, "unknown model"),
        ("/api/predict?operating_point=best", example("healthy child"), 404, "no operating point 'best'"),
        ("/api/predict?explain=HERNIA", example("healthy child"), 404, "unknown class 'HERNIA'"),
        ("/api/predict", b"", 400, "no picture"),
        ("/api/predict", b"no picture at all", 422, "broken: no image"),
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
def test_what_is_refused_is_refused_in_one_line(server, path, content, status, said):
    got, answer, _ = server.ask(path, content)
    reason = json.loads(answer)["error"]
    assert (got, said in reason, "\n" in reason) == (status, True, False), reason
    assert str(server.kept.parent) not in reason.replace("models/", "")


def test_only_this_machine_is_served_and_nothing_comes_from_elsewhere(server):
    assert server.ask("/", Host="evil.example")[0] == 400
    for path in ("/", "/app.css", "/app.js"):
        status, content, headers = server.ask(path)
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
        assert server.ask("/api/predict", example("healthy child"), timeout=20)[0] == 200
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
        config = uvicorn.Config(answer, lifespan="off")
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


def mutated(chance: np.random.Generator, whole: list[bytes]) -> bytes:
    """A picture with something wrong with it, or none at all."""
    content = bytearray(whole[chance.integers(len(whole))])
    kind = chance.integers(7)
    if kind == 0:
        return bytes(content[: chance.integers(len(content))])
    if kind == 1:
        return chance.bytes(int(chance.integers(1, 5000)))
    if kind == 2:  # in the head, where sizes and types stand
        for place in chance.integers(0, min(len(content), 400), chance.integers(1, 12)):
            content[place] = chance.integers(256)
    elif kind == 3:
        for place in chance.integers(0, len(content), chance.integers(1, 60)):
            content[place] ^= 1 << chance.integers(8)
    elif kind == 4:
        first, second = sorted(chance.integers(0, len(content), 2))
        del content[first:second]
    elif kind == 5:
        other = whole[chance.integers(len(whole))]
        content[chance.integers(len(content)) :] = other[chance.integers(len(other)) :]
    else:
        content[8:8] = chance.bytes(int(chance.integers(1, 300)))
    return bytes(content)


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it holds side x side pixels."""
    head = b"IHDR" + side.to_bytes(4) * 2 + bytes([8, 0, 0, 0, 0])
    data = b"IDAT" + zlib.compress(bytes(1_000_000))
    chunks = b"".join((len(c) - 4).to_bytes(4) + c + zlib.crc32(c).to_bytes(4) for c in (head, data, b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_a_thousand_broken_uploads_are_answered_and_leave_nothing(server, evaluated):
    before = sorted(evaluated.rglob("*")), list(server.kept.rglob("*"))
    chance = np.random.default_rng(11)
    pixels = np.asarray(opened(example("COVID")).resize((160, 160)))
    whole = [encoded(pixels, form) for form in ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP", "JPEG2000", "PPM", "TGA")]
    whole += [encoded(pixels.astype(np.uint16) * 99), dicom(pixels), dicom(pixels.astype(np.uint16) * 9)]
    odd = [
        bomb(9_000), bomb(60_000), b"PK\x03\x04" + bytes(500), b"<html></html>", b"\0" * 128 + b"DICM",
        bytes(50 * 1024 * 1024), dicom(pixels, Rows=65_000, Columns=65_000), b"%PDF-1.7", b"\xff\xd8\xff",
    ]  # fmt: skip
    statuses = []
    for number in range(FUZZED):
        content = odd[number] if number < len(odd) else mutated(chance, whole)
        name = chance.choice(["../../etc/passwd", "a\0b.png", "C:\\x.png", "x" * 3000, "ok.png"])
        disposition = f'attachment; filename="{quote(str(name))}"'
        statuses.append(server.ask("/api/predict?pictures=1", content, **{"Content-Disposition": disposition})[0])
    assert set(statuses) <= {200, 400, 413, 422}, Path(server.log.name).read_text()[-3000:]
    assert min(statuses.count(200), statuses.count(422)) > FUZZED / 20
    assert server.predict(example("healthy child"))["status"] == 200
    assert (sorted(evaluated.rglob("*")), list(server.kept.rglob("*"))) == before
    assert Path(server.log.name).read_text() == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "unknown model 'nowhere'"),
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1"),
        (["strange.keras"], "is no saved model of this project"),
    ],
)
def test_an_app_that_cannot_start_says_why(evaluated, words, said):
    (evaluated / "strange.keras").write_text("print('no model')")
    (evaluated / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    command = [sys.executable, "-m", "chest_transfer.cli", "app", *words]
    assert said in refused(run(evaluated, *command, check=False, PYTHONPATH=str(ROOT / "src")))
    (evaluated / "strange.keras").unlink()
    (evaluated / "dvc.lock").unlink()


def test_without_metrics_a_model_is_served_and_its_score_is_said_to_be_unknown(evaluated, tmp_path):
    model = tmp_path / "elsewhere/model.keras"
    model.parent.mkdir()
    shutil.copy(evaluated / "models/pneumonia/cnn/train-none.keras", model)
    started = Server(model.parent, "model.keras")
    try:
        [told] = json.loads(started.ask("/api/models")[1])["models"]
        assert told["auc"] is None
        assert "No scores are known" in told["cautions"][0]["text"]
        assert started.predict(example("healthy child"))["status"] == 200
    finally:
        started.stop()


@pytest.fixture
def page(server, browser):
    """The page, of a desktop's width; fails where it asked anybody else, or wrote an error of its own."""
    asked, errors = [], []
    with browser.new_page(viewport={"width": 1200, "height": 900}) as opened:
        opened.on("request", lambda request: asked.append(request.url))
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(server.address)
        opened.wait_for_selector("#examples button")
        yield opened
    assert errors == []
    assert [url for url in asked if not url.startswith((server.address, "data:", "blob:"))] == []


@pytest.mark.browser
def test_pictures_are_dropped_and_answered_each(page, tmp_path):
    (tmp_path / "broken.png").write_bytes(PICTURES["child.png"][:900])
    (tmp_path / "scan").write_bytes(PICTURES["effusion.dcm"])
    page.click("text=healthy child")
    page.wait_for_selector("text=1 answered.")
    page.set_input_files("#files", [tmp_path / "scan", tmp_path / "broken.png"])
    page.wait_for_selector("text=2 answered.")
    assert page.locator("article h3").all_inner_texts() == ["scan", "broken.png", "simulated: healthy child"]
    verdicts = page.locator(".verdict").all_inner_texts()
    assert [verdict.split(":")[0] for verdict in verdicts] == ["Called", "No answer", "Called"]
    assert "truncated" in verdicts[1]
    assert PATIENT_NAME not in page.content()
    assert page.locator("article:nth-child(2) input").is_hidden()
    assert page.evaluate(
        "[...document.querySelectorAll('article:not(:nth-child(2)) img')].every((i) => i.naturalWidth)"
    )


@pytest.mark.browser
def test_another_model_answers_anew_and_tells_its_own_score(page, server):
    page.click("text=healthy child")
    page.wait_for_selector("text=1 answered.")
    for name in ("pneumonia/cnn/probe-none", "pneumonia/cnn/train-none"):
        with page.expect_response(lambda answer: "/api/predict" in answer.url) as response:
            page.select_option("#model", name)
        answer = response.value.json()
        assert answer["model"] == name
        shown = f"{100 * answer['probabilities']['PNEUMONIA']:.1f} %"
        page.wait_for_selector(f".value:text-is('{shown}')")
        mark = float(page.eval_on_selector(".cut", "mark => parseFloat(mark.style.left)"))
        assert mark == pytest.approx(100 * answer["threshold"], abs=1e-3)
        [told] = [model for model in json.loads(server.ask("/api/models")[1])["models"] if model["name"] == name]
        assert f"{told['auc'][0]:.3f} (95 %: {told['auc'][1]:.3f} to {told['auc'][2]:.3f})" in page.inner_text("#facts")
    page.wait_for_selector("#warnings >> text=simulated")
    assert "Not a medical device" in page.inner_text("header")


@pytest.mark.browser
def test_the_slider_fades_the_heat_map(page):
    page.click("text=healthy child")
    page.wait_for_selector("text=1 answered.")
    for value in ("0", "80"):
        page.fill("article input", value)
        assert float(page.eval_on_selector(".heat", "heat => heat.style.opacity")) == int(value) / 100
    sizes = page.eval_on_selector_all(".shown img", "images => images.map((i) => [i.clientWidth, i.clientHeight])")
    assert sizes[0] == sizes[1]


@pytest.mark.browser
def test_the_keyboard_alone_will_do(page):
    for _ in range(30):
        page.keyboard.press("Tab")
        if "healthy adult" in page.evaluate("document.activeElement.innerText"):
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("text=1 answered.")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "range":
            break
    page.keyboard.press("ArrowLeft")
    assert float(page.eval_on_selector(".heat", "heat => heat.style.opacity")) == 0.54
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


@pytest.mark.browser
def test_a_phone_shows_it_without_scrolling_sideways(page):
    page.set_viewport_size({"width": 390, "height": 800})
    page.click("text=COVID")
    page.wait_for_selector("text=1 answered.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("article .shown").bounding_box()["width"] > 300
