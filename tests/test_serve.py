"""The live page gives what a log holds to who may have it, and nothing to anyone else."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live_logs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from refine_hooks.audit import all_texts
from refine_hooks.errors import InputError
from refine_hooks.guide import pages
from refine_hooks.log import file as journal
from refine_hooks.log.records import Failed, now
from refine_hooks.model import Fingerprint
from refine_hooks.report.view import LogView
from refine_hooks.serve import collection as collection_module
from refine_hooks.serve import files, server
from refine_hooks.serve.app import application, keep_looking
from refine_hooks.serve.collection import LogCollection, collection_at, found_logs
from refine_hooks.serve.events import Hub
from refine_hooks.serve.guard import Guard, own_names

TOKEN = "a-token-that-is-long-enough"


@pytest.fixture(scope="session")
def measured(three_rounds: Path) -> Path:
    return three_rounds


@pytest.fixture
def log(measured: Path, tmp_path: Path) -> Path:
    return live_logs.copied(measured, tmp_path / "lab" / "project")


def client(place: Path, host: str = "127.0.0.1", token: str | None = None, root: str = "", **more: Any) -> TestClient:
    logs = collection_at(place)
    while logs.judge():
        pass

    async def for_ever() -> None:
        await asyncio.Event().wait()

    app = Guard(application(logs, Hub(), for_ever, root), own_names(host), token, root=root)
    return TestClient(app, base_url="http://127.0.0.1:8642", follow_redirects=False, **more)


def only_log(asked: TestClient) -> dict[str, Any]:
    (one,) = asked.get("/api/logs").json()["logs"]
    return asked.get(f"/api/log/{one['id']}?after=0").json()


def test_the_page_its_rounds_and_one_round_are_given(log: Path) -> None:
    asked = client(log)
    page = asked.get("/")
    assert page.status_code == 200
    assert '"mode":"live"' in page.text
    told = only_log(asked)
    assert [row["key"] for row in told["rows"]] == ["run/1/1", "run/2/1", "run/3/1"]
    assert told["rows"][0]["found"] is not None
    assert told["title"] == "project"
    one = asked.get(f"/api/log/{told['id']}/round", params={"key": "run/2/1"}).json()
    assert one["shown"]["verdict"]["headline"]
    assert {curve["name"] for curve in one["curves"]} >= {"sphere", "automask_corrected"}
    assert one["pictures"][0]["caption"].startswith("Average")


@pytest.mark.parametrize("seen", ["/refine", ""], ids=["left", "taken off"])
def test_behind_a_proxy_every_address_is_below_its_path(log: Path, seen: str) -> None:
    asked = client(log, token=TOKEN, root="/refine")
    answer = asked.get(f"{seen}/", params={"token": TOKEN})
    assert answer.headers["location"] == "/refine/"
    assert "Path=/refine/" in answer.headers["set-cookie"]
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert asked.get(f"{seen}/api/logs", headers=bearer).json()["logs"]
    page = asked.get(f"{seen}/guide", headers=bearer).text
    assert set(re.findall(r'href="(/[a-z]*)', page)) == {"/refine"}
    assert asked.get("/refinement", headers=bearer).status_code == 404


def test_a_path_for_a_proxy_is_checked() -> None:
    assert [server.rooted(path) for path in ("", "/", "refine/", "/a/b")] == ["", "", "/refine", "/a/b"]
    with pytest.raises(InputError, match="give one as /refine"):
        server.rooted("https://host/refine")


def test_pictures_and_volumes_of_a_round_are_downloaded_whole_and_in_parts(log: Path) -> None:
    asked = client(log)
    told = only_log(asked)
    one = asked.get(f"/api/log/{told['id']}/round", params={"key": "run/1/1"}).json()
    assert set(one["links"]) == {"half1", "half2", "mask:automask"}
    half = log.parent / one["half_maps"]["paths"][0]
    answer = asked.get("/" + one["links"]["half1"])
    assert answer.content == half.read_bytes()
    assert answer.headers["content-disposition"] == 'attachment; filename="run_1_1_half1.mrc"'
    part = asked.get("/" + one["links"]["half1"], headers={"range": "bytes=208-211"})
    assert (part.status_code, part.content) == (206, b"MAP ")
    assert asked.get("/" + one["pictures"][0]["src"]).headers["content-type"] == "image/png"
    assert asked.head("/" + one["links"]["half2"]).headers["content-length"] == str(half.stat().st_size)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_written(log: Path, method: str) -> None:
    for path in ("/", "/api/logs", "/metrics"):
        answer = client(log).request(method, path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8642", 200),
        ("localhost:9000", 200),
        ("LOCALHOST", 200),
        ("[::1]:8642", 200),
        ("evil.example:8642", 421),
        ("localhost.evil.example", 421),
        ("localhost@evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_a_name_that_was_made_to_mean_this_machine_is_refused(log: Path, host: str, status: int) -> None:
    assert client(log).get("/api/logs", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://127.0.0.1:8642"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 200),
    ],
)
def test_the_page_of_another_site_reads_nothing(log: Path, headers: dict[str, str], status: int) -> None:
    assert client(log).get("/api/logs", headers=headers).status_code == status


def test_every_answer_says_how_it_may_be_used(log: Path) -> None:
    asked = client(log)
    for path in ("/", "/api/logs", "/metrics", "/no/such", "/api/log/none"):
        said = asked.get(path).headers
        assert said["x-content-type-options"] == "nosniff"
        assert said["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in said["content-security-policy"]
        assert "unsafe" not in said["content-security-policy"]
        assert "access-control-allow-origin" not in said


def test_readers_from_elsewhere_need_the_token(log: Path) -> None:
    asked = client(log, host="0.0.0.0", token=TOKEN)
    assert asked.get("/api/logs").status_code == 401
    for wrong in ("", "x", TOKEN[:-1], TOKEN + "x", "ü"):
        assert asked.get("/", params={"token": wrong}).status_code == 401
        assert asked.get("/", headers={"cookie": f"refine_hooks={wrong}".encode()}).status_code == 401
    assert asked.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    entered = asked.get("/", params={"token": TOKEN})
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=lax"} <= {word.strip() for word in entered.headers["set-cookie"].split(";")}
    assert asked.get("/api/logs").status_code == 200, "the cookie is remembered"


def test_a_token_is_made_for_other_hosts_alone_and_a_weak_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(server.TOKEN_VARIABLE, raising=False)
    assert [server.token_for(host) for host in ("127.0.0.1", "::1", "localhost")] == [None] * 3
    assert len(server.token_for("0.0.0.0") or "") >= 32
    monkeypatch.setenv(server.TOKEN_VARIABLE, TOKEN)
    assert server.token_for("127.0.0.1") == TOKEN
    monkeypatch.setenv(server.TOKEN_VARIABLE, "secret")
    with pytest.raises(InputError, match="16"):
        server.token_for("0.0.0.0")


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/log/../../etc/passwd",
        "/api/log/{id}/file?key=run/1/1&what=../../../etc/passwd",
        "/api/log/{id}/file?key=run/1/1&what=half1%00",
        "/api/log/{id}/picture?key=run/1/1&what=../rounds.jsonl",
        "/api/log/{id}/picture?key=../../run/1/1&what=slices.png",
        "/api/log/{id}/round?key=",
        "/api/log/{id}/round?key=run/99999999999999999999/1",
    ],
)
def test_no_address_leads_out(log: Path, path: str) -> None:
    asked = client(log)
    answer = asked.get(path.format(id=only_log(asked)["id"]))
    assert answer.status_code == 404
    assert "root:" not in answer.text


_PARTS = st.sampled_from(
    ["", "run/1/1", "half1", "slices.png", "0", "-1", "9" * 30, "\x00", "..", "\r\nx: y", "%", "\u00e9", "["]
)
_HEADERS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30) | st.sampled_from(
    [
        "http://[",
        "127.0.0.1:x",
        "[::1",
        "a" * 5000,
        "bytes=9-1",
        "bytes=0-0,1-,-5",
        "bytes=--1",
        "Bearer ",
        "refine_hooks=;=",
        '"',
    ]
)


def test_no_request_whatever_its_address_and_headers_makes_the_server_fail(log: Path) -> None:
    open_to_all, guarded = client(log), client(log, "0.0.0.0", TOKEN)
    one = only_log(open_to_all)["id"]

    @settings(max_examples=60, deadline=None)
    @given(
        what=st.sampled_from(["round", "file", "picture", "", "x"]),
        id_=st.sampled_from([one, "", "0" * 16, ".."]),
        query=st.dictionaries(st.sampled_from(["key", "what", "after", "at", "token"]), _PARTS),
        headers=st.dictionaries(
            st.sampled_from(["host", "origin", "range", "cookie", "authorization", "sec-fetch-site", "if-range"]),
            _HEADERS,
            max_size=3,
        ),
    )
    def check(what: str, id_: str, query: dict[str, str], headers: dict[str, str]) -> None:
        for asked in (open_to_all, guarded):
            # Whatever the application raises, the client raises as well.
            answer = asked.get(f"/api/log/{id_}/{what}", params=query, headers=headers)
            assert answer.status_code < 500
            assert "x" not in answer.headers

    check()


def outside(tmp_path: Path, log: Path) -> Path:
    """A real map that is none of this project's."""
    target = tmp_path / "elsewhere" / "secret.mrc"
    target.parent.mkdir()
    shutil.copy(next((log.parent / "half_maps").rglob("*.mrc")), target)
    return target


@pytest.mark.parametrize("how", ["absolute", "dots", "link", "link to a folder", "no map", "a pipe"])
def test_a_record_that_names_a_file_outside_gives_nothing_away(tmp_path: Path, log: Path, how: str) -> None:
    target = outside(tmp_path, log)
    if how == "link":
        (log.parent / "link.mrc").symlink_to(target)
    elif how == "link to a folder":
        (log.parent / "folder").symlink_to(target.parent)
    elif how == "no map":
        (log.parent / "notes.mrc").write_text("private" * 100)
    elif how == "a pipe":
        os.mkfifo(log.parent / "pipe.mrc")
    path = {
        "absolute": str(target),
        "dots": os.path.relpath(target, log.parent),
        "link": "link.mrc",
        "link to a folder": "folder/secret.mrc",
        "no map": "notes.mrc",
        "a pipe": "pipe.mrc",
    }[how]
    halves = live_logs.rounds_of(log)[0].half_maps
    assert halves is not None
    live_logs.another_round(log, 9, half_maps=halves.model_copy(update={"paths": (path, halves.paths[1])}))  # type: ignore[index]
    asked = client(log)
    told = only_log(asked)
    assert "half1" not in asked.get(f"/api/log/{told['id']}/round", params={"key": "run/9/1"}).json()["links"]
    for what, status in (("half1", 404), ("half2", 200)):
        answer = asked.get(f"/api/log/{told['id']}/file", params={"key": "run/9/1", "what": what})
        assert answer.status_code == status


def test_a_link_to_a_file_inside_is_followed(log: Path) -> None:
    real = next((log.parent / "half_maps").rglob("*.mrc"))
    (log.parent / "alias.mrc").symlink_to(real)
    handle = files.opened_below(log.parent / "alias.mrc", [log.parent])
    assert os.read(handle, 4) == real.read_bytes()[:4]
    os.close(handle)


def test_no_file_stays_open_after_its_answer(log: Path) -> None:
    asked = client(log)
    told = only_log(asked)
    one = asked.get(f"/api/log/{told['id']}/round", params={"key": "run/1/1"}).json()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        asked.get("/" + one["links"]["half1"])
        asked.get("/" + one["links"]["half1"], headers={"range": "bytes=9999999999-"})
        asked.head("/" + one["pictures"][0]["src"])
    assert len(os.listdir("/proc/self/fd")) == before


def test_names_in_a_log_cannot_make_headers_or_markup(log: Path) -> None:
    evil = 'x"\r\nset-cookie: a=b\r\n\r\n<script>alert(1)</script>'
    live_logs.another_round(log, 9, run_=evil, label=evil)
    asked = client(log)
    told = only_log(asked)
    key = f"{evil}/9/1"
    for what in ("half1", "mask:automask"):
        answer = asked.get(f"/api/log/{told['id']}/file", params={"key": key, "what": what})
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
        assert "\n" not in answer.headers["content-disposition"]
    assert asked.get(f"/api/log/{told['id']}/round", params={"key": key}).headers["content-type"] == "application/json"
    missing = asked.get(f"/api/log/{told['id']}/round", params={"key": f"{evil}/8/1"})
    assert missing.headers["content-type"].startswith("text/plain")


def test_only_what_is_new_is_sent_and_a_replaced_log_is_sent_whole(log: Path) -> None:
    view = LogView.of(log)
    assert view.index.refresh()
    assert not view.index.refresh()
    all_of_it = view.since(0)
    assert len(all_of_it["rows"]) == 3
    first = view.since(0, newest=2)
    assert ([row["key"] for row in first["rows"]], first["older"]) == (["run/2/1", "run/3/1"], 1)
    live_logs.another_round(log, 4)
    assert view.index.refresh()
    news = view.since(all_of_it["seq"])
    assert ([row["key"] for row in news["rows"]], news["restarted"]) == (["run/4/1"], False)
    assert view.judge.judge()
    assert not view.judge.judge()
    assert all(row["found"] is not None for row in view.rows())
    with log.open("ab") as stream:
        stream.write(b'{"type": "round", "torn')
    assert not view.index.refresh()
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:2]))
    assert view.index.refresh()
    anew = view.since(news["seq"])
    assert (anew["restarted"], len(anew["rows"])) == (True, 1)
    log.unlink()
    assert not view.index.refresh()
    assert len(view.rows()) == 1


def test_a_log_whose_end_was_edited_in_place_is_read_anew(log: Path) -> None:
    record = live_logs.another_round(log, 5)
    view = LogView.of(log)
    view.index.refresh()
    text = log.read_bytes()
    place = text.rindex(b'"label":"it5"')
    with log.open("r+b") as stream:
        stream.seek(place)
        stream.write(b'"label":"IT5"')
    journal.append(log, [record.model_copy(update={"key": record.key.model_copy(update={"iteration": 6})})])
    assert view.index.refresh()
    assert [row["label"] for row in view.rows()][-2] == "IT5"


def test_failures_faults_and_repeated_rounds_are_told(log: Path) -> None:
    first = live_logs.rounds_of(log)[0]
    gone = Failed(
        failed_at=now(),
        program="test",
        label="it8",
        key=first.key.model_copy(update={"iteration": 8}),
        fingerprint=Fingerprint(),
        reason="torn",
    )
    journal.append(log, [gone, first.model_copy(update={"particles": 77})])
    with log.open("ab") as stream:
        stream.write(b"not json\n")
    told = only_log(client(log))
    assert [f["reason"] for f in told["failures"]] == ["torn"]
    assert told["rows"][0]["particles"] == 77
    assert len(told["rows"]) == 3
    assert told["faults"] == [
        f"{log}:{len(log.read_bytes().splitlines())}: is not JSON; it was torn or edited, and is passed over"
    ]


def test_several_projects_stand_in_one_list_and_links_out_of_the_folder_are_passed_over(
    measured: Path, tmp_path: Path
) -> None:
    lab = tmp_path / "lab"
    for place in ("one", "group/two", "a/b/c/d/too_deep", ".hidden/three"):
        live_logs.copied(measured, lab / place)
    (lab / "alias").symlink_to(measured.parents[1])
    (lab / "linked").mkdir()
    (lab / "linked" / "rounds.jsonl").symlink_to(measured)
    assert [path.parents[1].name for path in found_logs(lab)] == ["two", "one"]
    logs = client(lab).get("/api/logs").json()["logs"]
    assert [one["title"] for one in logs] == ["one", "two"]
    assert len({one["id"] for one in logs}) == 2


def test_a_search_ends_however_many_folders_there_are(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = tmp_path / "lab"
    live_logs.copied(measured, lab / "near")
    live_logs.copied(measured, lab / "a" / "b" / "far")
    for number in range(30):
        (lab / "many" / f"{number}").mkdir(parents=True)
    assert {path.parents[1].name for path in found_logs(lab)} == {"near", "far"}
    monkeypatch.setattr(collection_module, "FOLDERS", 2)
    assert [path.parents[1].name for path in found_logs(lab)] == ["near"]


def test_a_place_may_be_empty_at_first_but_must_be_there(tmp_path: Path) -> None:
    assert client(tmp_path).get("/api/logs").json() == {"logs": []}
    with pytest.raises(InputError, match="not there"):
        collection_at(tmp_path / "nowhere")


def test_those_who_listen_are_told_of_every_round_and_of_the_end(log: Path) -> None:
    async def story() -> list[str]:
        hub, logs, turn = Hub(), LogCollection(log), asyncio.Semaphore(0)
        place = hub.enter()
        assert place is not None
        heard = hub.stream(place)
        told = [await anext(heard)]
        looking = asyncio.create_task(keep_looking(logs, hub, turn.acquire))
        while not told[-1].startswith("event: log\n"):
            told.append(await anext(heard))
        live_logs.another_round(log, 4)
        turn.release()
        told.append(await anext(heard))
        hub.close()
        told += [message async for message in heard]
        looking.cancel()
        return told

    told = asyncio.run(asyncio.wait_for(story(), 60))
    view = LogView.of(log)
    assert told[1].startswith("event: logs")
    assert f'"id": "{view.id}"' in told[-1]


def test_metrics_of_all_logs_are_in_prometheus_format(log: Path) -> None:
    answer = client(log.parents[2]).get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4"
    lines = answer.text.splitlines()
    assert any(line.startswith(f'refine_hooks_rounds_measured{{log="{log.parent}"}} 3') for line in lines)
    assert len([line for line in lines if line.startswith("# TYPE")]) == len(
        {line.split()[2] for line in lines if line.startswith("# TYPE")}
    )
    assert any('curve="automask_corrected"' in line for line in lines)


def test_the_head_of_the_event_stream_is_no_stream(log: Path) -> None:
    answer = client(log).head("/api/events")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


def test_no_more_pages_listen_than_may() -> None:
    async def crowd() -> list[bool]:
        hub = Hub(most=2)
        full = [hub.full]
        streams = [hub.stream(place) for _ in range(2) if (place := hub.enter()) is not None]
        for stream in streams:
            await anext(stream)
        full.append(hub.full)
        await streams[0].aclose()
        return [*full, hub.full]

    assert asyncio.run(crowd()) == [False, True, False]


@pytest.mark.parametrize(
    ("host", "token", "told"),
    [
        ("127.0.0.1", None, "http://127.0.0.1:8642/"),
        ("::1", None, "http://[::1]:8642/"),
        ("10.0.0.5", TOKEN, f"http://10.0.0.5:8642/?token={TOKEN}"),
    ],
)
def test_the_address_can_be_opened_as_it_is_told(host: str, token: str | None, told: str) -> None:
    assert server.address(host, 8642, token) == told


@pytest.fixture
def running(log: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-c", "from refine_hooks.cli import main; main()", "serve", str(log), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def test_control_c_ends_the_server_at_once_while_pages_are_open(running: tuple[subprocess.Popen[str], str]) -> None:
    process, address = running
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(address + "api/events", timeout=30) as stream:
        assert stream.readline().startswith(b"retry")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=server.PATIENCE_S - 0.5) in (0, 130)
        stream.read()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


def asked_for_events(address: str) -> socket.socket:
    """A page that listens: its request is sent, nothing is read."""
    host, port = address.removeprefix("http://").rstrip("/").split(":")
    page = socket.create_connection((host, int(port)), timeout=30)
    page.sendall(f"GET /api/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    return page


def status_of(page: socket.socket) -> int:
    return int(page.recv(64).split()[1])


def answered(address: str, seconds: float = 30) -> bool:
    """Whether the server answers a new reader within some time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(address + "api/logs", timeout=5) as answer:
            return answer.status == 200
    return False


def test_every_page_gets_a_stream_or_a_clear_answer_one_by_one_and_in_a_burst(
    running: tuple[subprocess.Popen[str], str],
) -> None:
    address = running[1]
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            assert status_of(stack.enter_context(asked_for_events(address))) == 200
        burst = [stack.enter_context(asked_for_events(address)) for _ in range(320)]
        told = [status_of(page) for page in burst]
        assert (told.count(200), told.count(503)) == (300, 20)
        assert answered(address)
    assert answered(address)


def test_a_server_with_few_descriptors_answers_and_recovers(log: Path) -> None:
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)); "
    command = [
        sys.executable,
        "-c",
        few + "from refine_hooks.cli import main; main()",
        "serve",
        str(log),
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with contextlib.ExitStack() as whatever, contextlib.ExitStack() as stack:
            whatever.callback(process.kill)
            told = [status_of(stack.enter_context(asked_for_events(address))) for _ in range(30)]
            assert told.count(200) >= 10
            assert set(told) == {200, 503}
            assert answered(address)
            for _ in range(120):  # idle connections, until no descriptor is left
                stack.enter_context(socket.create_connection(("127.0.0.1", int(address.rstrip("/").rsplit(":", 1)[1]))))
            time.sleep(0.5)
            stack.close()
            assert answered(address)
            whatever.pop_all()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) in (0, 130)
        assert process.stderr is not None
        said = process.stderr.read().splitlines()
        assert len(said) == 2, said[:10]
        assert "Too many open files" in said[1]


def test_a_port_that_is_taken_is_a_clear_error(running: tuple[subprocess.Popen[str], str]) -> None:
    port = int(running[1].rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(InputError, match="--port"):
        server.bound("127.0.0.1", port)
    with pytest.raises(InputError, match="--host"):
        server.bound("no.such.host.invalid", 1)


def test_a_missing_extra_is_a_clear_error(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(InputError, match=r"refine_hooks\[serve\]"):
        server.serve(log, "127.0.0.1", 0, (), print)


def test_the_guide_is_on_the_live_page_and_every_link_in_it_leads_somewhere(log: Path) -> None:
    asked = client(log)
    waiting, seen = ["/guide"], {"/guide", "/"}
    while waiting:
        answer = asked.get(waiting.pop())
        assert answer.status_code == 200, answer.url
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "<script" not in answer.text
        found = re.findall(r'(?:href|src)="((?!http|#)[^"#]+)', answer.text)
        assert all(link.startswith("/") for link in found), (answer.url, found)
        waiting += [link for link in dict.fromkeys(found) if link not in seen]
        seen.update(found)
    assert {f"/guide/{name}" for name in pages()} <= seen
    assert asked.get("/guide/none").status_code == 404
    assert asked.get("/guide/picture/none.png").status_code == 404


def test_every_kind_of_finding_has_its_place_in_the_guide(log: Path) -> None:
    text = client(log).get("/guide/rules").text
    assert set(all_texts()) == set(re.findall(r'<h2 id="(\w+)">', text))
