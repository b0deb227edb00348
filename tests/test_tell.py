"""Those who asked are told, and nothing of it harms the watch."""

import io
import json
import os
import re
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from command_line import cli
from prometheus_client.parser import text_string_to_metric_families
from rounds_data import a_failure, a_round, falling, healthy
from small_program import a_watch, lines_of, write_round

from refine_hooks.audit import audit, judge
from refine_hooks.audit.reading import Counts, counted
from refine_hooks.errors import InputError
from refine_hooks.log.file import Journal
from refine_hooks.log.records import LogLine, RoundRecord, Start, Stop, now
from refine_hooks.log.summary import summary_of
from refine_hooks.model import Key
from refine_hooks.notify import _send, messages
from refine_hooks.notify.digest import Digest
from refine_hooks.notify.processes import Ended, Queue
from refine_hooks.notify.prometheus import LogState, prometheus_text
from refine_hooks.report.page import grouped
from refine_hooks.settings import NotifySettings, Settings
from refine_hooks.watch.loop import run

pytestmark = pytest.mark.usefixtures("quick_rounds")
LYING = healthy(2, 30, alignment_limit_A=4.0)
START = Start(
    started_at=now(), project="/data/apoferritin", program="test", versions={}, settings={}, host="node1", pid=42
)
QUIET = a_round({"sphere": falling(29), "automask": falling(29.5), "automask_corrected": falling(29.5)}, 4)
STOP = Stop(stopped_at=now(), reason="nothing more to do", rounds_measured=3, rounds_failed=1)
FAILED = a_failure(3, "chunk 2 is torn")


class Mailbox:
    """A web server on this machine that keeps what is posted to it, and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        box = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                box.got.append(json.loads(body))
                self.send_response(box.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"json://user:secret@127.0.0.1:{self.server.server_port}/refinements"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.got]


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    yield box
    box.server.shutdown()
    box.server.server_close()


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are sent without a process of their own."""

    def run(_queue: Queue, command: list[str], given: bytes, _timeout_s: float) -> Ended:
        assert command[1:] == ["-m", _send.__name__]
        monkeypatch.setattr("sys.stdin", io.StringIO(given.decode()))
        return Ended(_send.main(), "")

    monkeypatch.setattr(Queue, "run", run)


def told(event: str, line: LogLine, settings: Settings, lines: tuple[LogLine, ...] = ()) -> list[str]:
    """Tell, and wait until everyone has heard."""
    log = Journal(lines or (line,))
    project = Path(START.project).name if START in lines else ""
    teller, where = messages.Teller(), messages.Where(project)
    return teller.tell(event, line, audit(log), settings, lambda: state_of(log), where) + teller.finish(settings)


def state_of(log: Journal, name: str = "", running: bool | None = None) -> LogState:
    found = grouped(audit(log))
    rounds = [(summary_of(record), counted(found[str(record.key)])) for record in log.rounds]
    return LogState(rounds, [line.key for line in log.failures], name, running)


def notified(mailbox: Mailbox, *on: str) -> Settings:
    return Settings.model_validate({"notify": {"targets": [mailbox.address], "on": on}})


EVENTS: list[tuple[str, LogLine, str, str]] = [
    ("round", QUIET, "apoferritin: run/4/1 Round 4: ", "nothing to remark"),
    ("round", LYING, "apoferritin: warning: run/2/1 Round 2: ", "limit"),
    ("finding", LYING, "apoferritin: warning: run/2/1 Round 2: ", "Set the next round's high-resolution limit"),
    ("failed", FAILED, "apoferritin: run/3/1 Round 3 could not be measured", "chunk 2 is torn"),
    ("stalled", START, "apoferritin: nothing new for long", "watched by process 42 on node1"),
    ("finished", STOP, "apoferritin: the watch ended: nothing more to do", "3 rounds measured, 1 failed"),
]


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("event", "line", "title", "body"), EVENTS, ids=[f"{n}-{event[0]}" for n, event in enumerate(EVENTS)]
)
def test_a_message_of_each_event_arrives_at_a_web_server(
    mailbox: Mailbox, event: str, line: LogLine, title: str, body: str
) -> None:
    assert told(event, line, notified(mailbox, event), (START, LYING, QUIET, FAILED)) == []
    (message,) = mailbox.got
    assert message["title"].startswith(title)
    assert body in message["message"]


@pytest.mark.usefixtures("in_this_process")
def test_only_events_that_were_asked_for_are_told(mailbox: Mailbox) -> None:
    settings = notified(mailbox, "failed")
    for event, line, _, _ in EVENTS:
        assert told(event, line, settings) == []
    assert mailbox.titles == ["run/3/1 Round 3 could not be measured"]


@pytest.mark.usefixtures("in_this_process")
def test_a_finding_is_not_told_again_where_every_round_is_told(mailbox: Mailbox) -> None:
    settings = notified(mailbox, "round", "finding")
    for event in ("round", "finding"):
        assert told(event, LYING, settings) == []
    assert len(mailbox.got) == 1


@pytest.mark.usefixtures("in_this_process")
def test_a_message_of_a_finding_holds_warnings_alone_and_the_resolution_with_its_interval(mailbox: Mailbox) -> None:
    jumped = healthy(2, 31, alignment_limit_A=4.0, particles=900)
    told("finding", jumped, notified(mailbox, "finding"), (healthy(1, particles=100), jumped))
    (message,) = mailbox.got
    assert "warning: " in message["message"]
    assert "note: " not in message["message"]
    coarse, fine = jumped.headline_curve().interval_A  # type: ignore[union-attr,misc]
    assert f"(90 % {coarse:.2f}-{fine:.2f}) by automask_corrected at 0.143" in message["title"]


def test_a_target_that_takes_nothing_is_a_fault_in_words_without_its_password(mailbox: Mailbox) -> None:
    mailbox.status = 500
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        deaf = f"json://user:secret@127.0.0.1:{unused.getsockname()[1]}/"
    targets = [mailbox.address, deaf, "nonsense", "nosuch://user:secret@x"]
    settings = Settings.model_validate({"notify": {"targets": targets, "on": ["failed"]}})
    faults = told("failed", FAILED, settings)
    assert len(faults) == 4
    assert all("did not take the message" in fault for fault in faults[:2])
    assert all("not an address that apprise knows" in fault for fault in faults[2:])
    assert "secret" not in "".join(faults)
    assert len(mailbox.got) == 1


def test_the_log_and_the_report_hold_no_password_of_a_target(mailbox: Mailbox, tmp_path: Path) -> None:
    write_round(tmp_path, 1)
    run(a_watch(tmp_path, overrides={"notify": {"targets": [mailbox.address]}}), [0.0])
    (start,) = lines_of(tmp_path, Start)
    assert start.settings["notify"]["targets"][0].startswith("json://... sha256 ")
    for file in ("rounds.jsonl", "report.html"):
        assert "secret" not in (tmp_path / "refine_hooks" / file).read_text(encoding="utf-8")


def test_a_watch_tells_of_its_rounds_of_its_failures_and_of_its_end(mailbox: Mailbox, tmp_path: Path) -> None:
    write_round(tmp_path, 1)
    write_round(tmp_path, 2)
    (tmp_path / "it2_half2.mrc").write_bytes(b"torn" * 600)
    metrics = tmp_path / "metrics" / "refinement.prom"
    overrides = {
        "notify": {
            "targets": [mailbox.address],
            "on": ["round", "failed", "finished"],
            "metrics_file": str(metrics),
        }
    }
    run(a_watch(tmp_path, overrides=overrides), [0.0])
    name = tmp_path.name
    assert [title.split(":")[0] for title in mailbox.titles] == [name] * 3
    assert "run/1/1 it1: " in mailbox.titles[0]
    assert mailbox.titles[1] == f"{name}: run/2/1 it2 could not be measured"
    assert "the watch ended" in mailbox.titles[2]
    values = samples(metrics.read_text(encoding="utf-8"))
    assert values["refine_hooks_rounds_measured", ()] == 1
    assert values["refine_hooks_rounds_failed", ()] == 1
    assert values["refine_hooks_watch_running", ()] == 0
    assert [path.name for path in metrics.parent.iterdir()] == ["refinement.prom"], "written beside, then renamed"


# --- metrics ------------------------------------------------------------------------------------------------------------


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What Prometheus' own parser reads."""
    assert text.endswith("\n")
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            place = (sample.name, tuple(sorted(sample.labels.items())))
            assert place not in found, "no sample may be there twice"
            found[place] = sample.value
    return found


def test_the_metrics_are_of_the_newest_round_of_each_run_and_class_and_parse() -> None:
    odd = Key(run='a "quoted"\\nodd\nrun', iteration=7, class_id=2)
    log = Journal((START, healthy(1, 24, particles=500), healthy(2, 30, particles=600), healthy(1, key=odd), FAILED))
    values = samples(prometheus_text([state_of(log, running=True)]))
    where = (("class", "1"), ("program", "test"), ("run", "run"))
    strange = (("class", "2"), ("program", "test"), ("run", odd.run))
    assert values["refine_hooks_rounds_measured", ()] == 3
    assert values["refine_hooks_rounds_failed", ()] == 1
    assert values["refine_hooks_watch_running", ()] == 1
    assert values["refine_hooks_iteration", where] == 2
    assert values["refine_hooks_particles", where] == 600
    assert values["refine_hooks_iteration", strange] == 7
    curve = healthy(2, 30).headline_curve()
    assert curve is not None
    named = (where[0], ("curve", "automask_corrected"), *where[1:])
    assert values["refine_hooks_headline_resolution_angstrom", named] == pytest.approx(curve.resolution_A, abs=1e-6)
    assert values["refine_hooks_resolution_angstrom", named] == pytest.approx(curve.resolution_A, abs=1e-6)
    assert values["refine_hooks_findings", (("severity", "warning"),)] == sum(
        finding.severity == "warning" for finding in audit(log)
    )


def test_metrics_of_several_logs_are_told_apart_by_a_label() -> None:
    rounds = [(summary_of(healthy(1)), Counts(2, 1))]
    failed = [Key.parse(f"a/{number}/1") for number in (1, 2, 3)]
    values = samples(prometheus_text([LogState(rounds, (), "one"), LogState(rounds, failed, "two")]))
    assert values["refine_hooks_rounds_failed", (("log", "two"),)] == 3
    assert values["refine_hooks_findings", (("log", "one"), ("severity", "warning"))] == 2
    resolution = [place for place in values if place[0] == "refine_hooks_headline_resolution_angstrom"]
    assert len(resolution) == 2


def test_a_log_without_rounds_has_metrics_too() -> None:
    values = samples(prometheus_text([LogState((), ())]))
    assert values["refine_hooks_rounds_measured", ()] == 0


def test_a_metrics_file_that_cannot_be_written_is_a_fault_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings.model_validate({"notify": {"metrics_file": str(tmp_path / "file" / "m.prom")}})
    (fault,) = told("round", LYING, settings)
    assert "could not be written" in fault


# --- hooks --------------------------------------------------------------------------------------------------------------


def hooked(**hook: Any) -> Settings:
    return Settings.model_validate({"hooks": [hook]})


def test_a_command_gets_the_record_as_json_on_its_standard_input(tmp_path: Path) -> None:
    code = f"import sys, json; open({str(tmp_path / 'got')!r}, 'w').write(sys.stdin.read())"
    assert told("round", LYING, hooked(command=[sys.executable, "-c", code])) == []
    assert RoundRecord.model_validate_json((tmp_path / "got").read_text()) == LYING


def test_a_function_gets_the_record_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_hooks.py").write_text(
        "from pathlib import Path\n"
        "def after(record):\n"
        "    Path('got').write_text(f'{type(record).__name__} {record.key} {record.headline}')\n"
    )
    monkeypatch.chdir(tmp_path)
    assert told("round", LYING, hooked(call="my_hooks:after")) == []
    assert (tmp_path / "got").read_text() == "RoundRecord run/2/1 automask_corrected"


@pytest.mark.parametrize("event", ["finding", "failed", "finished"])
def test_hooks_run_after_rounds_alone(tmp_path: Path, event: str) -> None:
    settings = hooked(command=["touch", str(tmp_path / "ran")])
    assert told(event, FAILED if event == "failed" else LYING, settings) == []
    assert not (tmp_path / "ran").exists()


FAILING: list[tuple[dict[str, Any], str]] = [
    (
        {"command": [sys.executable, "-c", "import sys; print('no disk'); sys.exit(3)"]},
        "ended with 3 on run/2/1: no disk",
    ),
    ({"command": [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]}, "ended with -9"),
    ({"command": ["/no/such/program"]}, "could not be started"),
    ({"command": []}, "neither call nor command"),
    ({"call": "no_such_module:f"}, "No module named 'no_such_module'"),
    ({"call": "json:no_such_function"}, "no_such_function"),
    ({"call": "json"}, "write module:function"),
    ({"command": [sys.executable, "-c", "print('x' * 3000000); import sys; sys.exit(1)"]}, "ended with 1"),
]


@pytest.mark.parametrize(("hook", "words"), FAILING, ids=[case[1] for case in FAILING])
def test_a_hook_that_fails_is_told_in_words(hook: dict[str, Any], words: str) -> None:
    (fault,) = told("round", LYING, hooked(**hook))
    assert words in fault
    assert len(fault) < 1000


def ended(pid: int) -> bool:
    """Whether a process has ended, or does so within ten seconds: SIGKILL takes a moment."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 10)[0])
    finally:
        os.close(handle)


def test_a_hook_that_hangs_is_ended_with_everything_that_it_started(tmp_path: Path) -> None:
    script = tmp_path / "hang.sh"
    script.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {tmp_path / 'child'}\nsleep 600\n")
    script.chmod(0o755)
    settings = hooked(command=[str(script)], timeout_s=3)
    (fault,) = told("round", LYING, settings)
    assert "was stopped after 3 s" in fault
    assert ended(int((tmp_path / "child").read_text()))


def test_a_hook_that_leaves_a_child_behind_takes_no_longer_than_its_time(tmp_path: Path) -> None:
    script = tmp_path / "leave.sh"
    script.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {tmp_path / 'child'}\n")
    script.chmod(0o755)
    faults = told("round", LYING, hooked(command=[str(script)], timeout_s=2))
    assert len(faults) == 1
    assert ended(int((tmp_path / "child").read_text()))


def test_a_child_of_a_hook_that_made_its_own_session_ends_with_it(tmp_path: Path) -> None:
    start = (
        "import subprocess; p = subprocess.Popen(['sleep', '600'], start_new_session=True, stdout=-3, stderr=-3); "
        f"open({str(tmp_path / 'child')!r}, 'w').write(str(p.pid))"
    )
    assert told("round", LYING, hooked(command=[sys.executable, "-c", start])) == []
    assert ended(int((tmp_path / "child").read_text()))


def test_no_secret_of_a_target_or_of_a_hooks_arguments_is_written_anywhere(tmp_path: Path) -> None:
    said: list[str] = []
    secrets = {
        "notify": {
            "targets": ["xoxb-sesame-without-a-scheme", "xoxb-sesame-with-much-too-long-a-scheme://x"],
            "on": ["round"],
        },
        "hooks": [{"command": ["false", "--token", "sesame"]}, {"command": ["/no/such", "sesame"]}],
    }
    write_round(tmp_path, 1)
    run(a_watch(tmp_path, said, overrides=secrets), [0.0])
    assert sum("hook '" in text or "] is not an address" in text for text in said) == 4
    written = [
        path.read_text("utf-8") for path in (tmp_path / "refine_hooks").iterdir() if path.suffix in (".jsonl", ".html")
    ]
    assert len(written) == 2
    assert "sesame" not in "".join([*said, *written])


def test_a_target_that_drips_for_ever_holds_up_neither_hooks_nor_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            while True:
                try:
                    client, _ = server.accept()
                    while True:
                        client.send(b"x")
                        time.sleep(0.2)
                except OSError:
                    if server.fileno() < 0:
                        return

        threading.Thread(target=drip, daemon=True).start()
        settings = Settings.model_validate(
            {
                "notify": {
                    "targets": [f"json://127.0.0.1:{server.getsockname()[1]}/"],
                    "on": ["round"],
                    "timeout_s": 3,
                },
                "hooks": [{"command": ["touch", str(tmp_path / "ran")]}],
            }
        )
        began = time.monotonic()
        teller = messages.Teller()
        teller.tell("round", LYING, [], settings, lambda: LogState((), ()))
        (fault,) = teller.finish(settings)
        assert "within 3 s" in fault
        assert time.monotonic() - began < 15
        assert (tmp_path / "ran").exists()


def test_hooks_run_in_order_and_one_that_fails_keeps_no_other_from_running(tmp_path: Path) -> None:
    add = f"import sys; open({str(tmp_path / 'order')!r}, 'a').write(sys.argv[1])"
    commands = [[sys.executable, "-c", add, "1"], ["/no/such/program"], [sys.executable, "-c", add, "2"]]
    settings = Settings.model_validate({"hooks": [{"command": command} for command in commands]})
    assert len(told("round", LYING, settings)) == 1
    assert (tmp_path / "order").read_text() == "12"


def test_what_is_not_told_in_time_is_left_out_and_said(tmp_path: Path) -> None:
    settings = hooked(command=["sleep", "600"])
    teller = messages.Teller()
    teller.tell("round", LYING, [], settings, lambda: LogState((), ()))
    teller.tell("round", LYING, [], settings, lambda: LogState((), ()))
    began_s = time.monotonic()
    faults = teller.finish(settings, 0.5)
    assert any("2 messages or hooks were not finished" in fault for fault in faults)
    told("round", LYING, hooked(command=["touch", str(tmp_path / "next")]))
    assert (tmp_path / "next").exists(), "the next watch is served"
    assert time.monotonic() - began_s < 30.0, "and need not wait until a command that was ended would have been"


def test_a_command_that_is_being_started_when_its_time_is_over_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    from refine_hooks.notify import processes

    jobs, starting, over = processes.Queue("jobs"), threading.Event(), threading.Event()
    start = processes.subprocess.Popen

    def slowly(*given: Any, **named: Any) -> Any:
        starting.set()
        assert over.wait(10)
        return start(*given, **named)

    monkeypatch.setattr(processes.subprocess, "Popen", slowly)
    began_s = time.monotonic()
    jobs.add(lambda: [str(jobs.run(["sleep", "30"], b"", 20.0))])
    assert starting.wait(10)
    assert jobs.finish(0.0) == 1
    over.set()
    jobs.add(list)
    assert jobs.finish(15.0) == 0
    assert time.monotonic() - began_s < 15


def test_a_watch_goes_on_when_everything_about_telling_fails(tmp_path: Path) -> None:
    write_round(tmp_path, 1)
    write_round(tmp_path, 2)
    (tmp_path / "blocked").write_text("")
    said: list[str] = []
    overrides = {
        "notify": {"targets": ["nosuch://x"], "on": ["round"], "metrics_file": str(tmp_path / "blocked" / "m.prom")},
        "hooks": [{"command": ["false"]}],
    }
    run(a_watch(tmp_path, said, overrides=overrides), [0.0])
    assert [str(record.key) for record in lines_of(tmp_path, RoundRecord)] == ["run/1/1", "run/2/1"]
    text = "\n".join(said)
    for words in ("not an address that apprise knows", "m.prom could not be written", "hook 'false' ended with 1"):
        assert words in text


def test_a_broken_audit_is_said_and_harms_no_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise InputError("broken on purpose")

    monkeypatch.setattr(judge, "audit", broken)
    write_round(tmp_path, 1)
    said: list[str] = []
    run(a_watch(tmp_path, said), [0.0])
    assert len(lines_of(tmp_path, RoundRecord)) == 1
    assert "broken on purpose" in "\n".join(said)


def test_measure_waits_for_its_message_and_tells_faults_beside_the_record(mailbox: Mailbox, tmp_path: Path) -> None:
    write_round(tmp_path, 1)
    (tmp_path / "c.toml").write_text(f'[notify]\ntargets = ["{mailbox.address}"]\non = ["round"]\n')
    halves = (tmp_path / "it1_half1.mrc", tmp_path / "it1_half2.mrc")
    mailbox.status = 500
    done = cli("measure", *halves, "--out", tmp_path / "out", "--config", tmp_path / "c.toml", "--json")
    assert done.returncode == 0, done.stderr
    assert len(mailbox.got) == 1
    assert json.loads(done.stdout)["type"] == "round"
    assert "did not take the message" in done.stderr


def test_a_round_without_a_resolution_is_told_as_one(mailbox: Mailbox) -> None:
    told("round", a_round({"sphere": falling(200)}), notified(mailbox, "round"))
    assert "never crosses" in mailbox.titles[0]


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 1, 1, hour, minute)


def test_messages_of_a_period_come_as_one_and_what_needs_a_person_at_once() -> None:
    now_s = [0.0]
    digest, hourly = Digest(lambda: now_s[0], lambda: at(12)), NotifySettings(every="1h")
    assert digest.passed("round", ("p: one", "a"), hourly) == []
    now_s[0] = 3500.0
    assert digest.passed("finding", ("p: two", "b"), hourly) == []
    assert digest.due(hourly) == []
    now_s[0] = 3600.0
    assert digest.due(hourly) == [("p: 2 messages; the last: two", "p: one\na\n\np: two\nb")]
    assert digest.due(hourly) == []
    digest.passed("round", ("p: three", "c"), hourly)
    assert digest.passed("failed", ("p: four", "d"), hourly) == [("p: three", "c"), ("p: four", "d")]
    assert digest.passed("round", ("p: five", "e"), NotifySettings()) == [("p: five", "e")]


def test_what_comes_in_quiet_hours_is_sent_at_their_end() -> None:
    hour = [23]
    digest, quiet = Digest(lambda: 0.0, lambda: at(hour[0])), NotifySettings(quiet="22:00-07:00")
    assert digest.passed("failed", ("p: one", "a"), quiet) == []
    hour[0] = 6
    assert digest.due(quiet) == []
    hour[0] = 7
    assert digest.due(quiet) == [("p: one", "a")]
    assert [NotifySettings(quiet="09:00-17:00").is_quiet(at(h)) for h in (8, 9, 16, 17)] == [False, True, True, False]


@pytest.mark.parametrize("wrong", [{"every": "soon"}, {"every": "0h"}, {"quiet": "22-7"}, {"quiet": "25:00-07:00"}])
def test_a_period_or_hours_that_nobody_can_read_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="write"):
        NotifySettings.model_validate(wrong)


def test_a_message_says_the_project_the_round_what_changed_and_the_link() -> None:
    where = messages.Where("p", "log1", healthy(1, shell=25.0)).linked("https://host/refine/")
    title, body = messages.message("round", healthy(2), [], where)
    assert re.fullmatch(r"p: run/2/1 Round 2: \d+\.\d\d A.* by automask_corrected at 0\.143, before \d+\.\d\d A", title)
    assert body.endswith("https://host/refine/#log=log1&round=run%2F2%2F1")


def test_what_is_held_back_is_sent_at_the_end_of_a_watch(mailbox: Mailbox) -> None:
    settings = notified(mailbox, "round", "finished")
    settings = settings.model_copy(update={"notify": settings.notify.model_copy(update={"every": "1d"})})
    teller = messages.Teller()
    teller.tell("round", QUIET, [], settings, lambda: LogState((), ()), messages.Where("p"))
    teller.tell("round", QUIET, [], settings, lambda: LogState((), ()), messages.Where("p"))
    assert teller.send_due(settings) == []
    teller.finish(settings)
    assert [title.partition(";")[0] for title in mailbox.titles] == ["p: 2 messages"]
