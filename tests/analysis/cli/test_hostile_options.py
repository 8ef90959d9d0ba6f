"""Every parameter of every command, given what it must refuse: one line, exit code 2.

The parameters are found in the Typer app, so that a new one is tested from its first day.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import pytest
import typer
from typer.models import ArgumentInfo, ParameterInfo

from analysis.cli import main as cli
from analysis.cli import options
from featherface.files import check_writable
from featherface.weights import published as weights

posix = pytest.mark.skipif(sys.platform == "win32", reason="names and files of POSIX")


class Parameter(NamedTuple):
    """A parameter of a command, as its function declares it."""

    command: tuple[str, ...]
    name: str
    kind: Any
    info: ParameterInfo
    required: bool

    def call(self, value: str) -> list[str]:
        """Return the arguments that give it a value."""
        if isinstance(self.info, ArgumentInfo):
            return ["--", value] if value.startswith("-") else [value]
        declared = self.info.default  # Typer's name for the first argument of an annotation
        name = declared if isinstance(declared, str) else f"--{self.name.replace('_', '-')}"
        return [f"{name}={value}"]

    def __str__(self) -> str:
        return " ".join([*self.command, self.name])


def _parameters(app: typer.Typer, path: tuple[str, ...] = ()) -> Iterator[Parameter]:
    for command in app.registered_commands:
        function = command.callback
        assert function is not None
        required = function.__code__.co_argcount - len(function.__defaults__ or ())
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        for name, hint in get_type_hints(function, include_extras=True).items():
            kind, *notes = get_args(hint) or (hint,)
            for info in notes:
                if isinstance(info, ParameterInfo):
                    yield Parameter(
                        (*path, command.name or function.__name__),
                        name,
                        kind,
                        info,
                        names.index(name) < required,
                    )
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from _parameters(group.typer_instance, (*path, str(group.name)))


INPUTS = (options.input_file, options.text_file, options.input_path, options.input_folder)
OUTPUTS = (options.json_file, options.output_folder, options.onnx_file)
NAMED = (options.name_or_file, options.name_or_weights, options.name_or_ledger, options.teacher)
READ = (*INPUTS, *NAMED, options.record_file)
EVERY = (*READ, *OUTPUTS)
PATH_CHECKS = (*EVERY, options.image)
"""A parameter that names a path has one of these as its parser."""

PARAMETERS = list(_parameters(cli.app))
COMMANDS = {parameter.command: None for parameter in PARAMETERS}
PATHS = [p for p in PARAMETERS if p.info.parser in PATH_CHECKS]

Made = Callable[[Path], str]


def _fifo(folder: Path) -> str:
    os.mkfifo(folder / "fifo")
    return str(folder / "fifo")


def _socket(folder: Path) -> str:
    with contextlib.chdir(folder), socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")  # the path of a socket has at most about a hundred characters
    return str(folder / "socket")


def _loop(folder: Path) -> str:
    (folder / "loop").symlink_to(folder / "loop")
    return str(folder / "loop")


def _file(folder: Path) -> str:
    (folder / "file").write_text("x")
    return str(folder / "file")


def _huge(folder: Path) -> str:
    with (folder / "huge").open("wb") as file:
        file.truncate(options.MAX_TEXT_BYTES + 1)  # sparse: it takes no room on the disk
    return str(folder / "huge")


def _folder(folder: Path) -> str:
    return str(folder)


HOSTILE: dict[str, tuple[Made, tuple[Any, ...]]] = {
    "empty": (lambda _: "", PATH_CHECKS),
    "long name": (lambda _: "x" * 300, EVERY),
    "long path": (lambda _: "ab/" * 3000, EVERY),
    "loop": (_loop, EVERY),
    "pipe": (_fifo, (*READ, options.output_folder)),
    "socket": (_socket, EVERY),
    "endless device": (lambda _: "/dev/zero", (*READ, options.output_folder)),
    "full device": (lambda _: "/dev/full", (*READ, options.output_folder)),
    "folder": (
        _folder,
        (
            options.input_file,
            options.text_file,
            *NAMED,
            options.json_file,
            options.record_file,
        ),
    ),
    "file": (_file, (options.input_folder, options.output_folder)),
    "huge": (_huge, (options.text_file, options.record_file, options.name_or_ledger)),
    "missing": (lambda folder: str(folder / "none"), (*INPUTS, *NAMED[1:])),
    "not UTF-8": (lambda folder: str(folder / os.fsdecode(b"caf\xe9")), INPUTS),
    "markup": (lambda folder: str(folder / "[red]x[/b]"), INPUTS),
    "control characters": (lambda folder: str(folder / "a\x1b[31m\nb"), INPUTS),
}


@pytest.fixture(autouse=True)
def _deadline() -> Iterator[None]:
    """End a test that waits for a pipe or a device."""
    if sys.platform == "win32":
        yield
        return

    def late(*_: object) -> None:
        raise TimeoutError("the command read what it should refuse")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _others(parameter: Parameter, folder: Path) -> list[str]:
    """Return usable values for what else the command requires."""
    file, inside = folder / "usable.onnx", folder / "inside"
    file.write_text("x")
    inside.mkdir()
    result = []
    for other in PARAMETERS:
        if other.required and other.command == parameter.command and other.name != parameter.name:
            folders = (options.input_folder, options.input_path, options.output_folder)
            result += other.call(str(inside if other.info.parser in folders else file) or "")
    return result


@pytest.mark.parametrize("parameter", PARAMETERS, ids=str)
def test_every_path_is_checked(parameter: Parameter) -> None:
    kinds = {parameter.kind, *get_args(parameter.kind)}
    names_a_path = bool(kinds & {Path, list[Path]}) or "FILE" in str(parameter.info.metavar)
    assert not names_a_path or parameter.info.parser in PATH_CHECKS


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(call: Any, command: tuple[str, ...]) -> None:
    said = call(*command, "--help")
    assert said.code == 0
    example = said.out.splitlines()[-1]  # on one line, however long
    assert example.startswith(f"  Example: featherface {' '.join(command)} ")
    assert not re.search(r"<\w|list\[", said.out)  # types as Python has them


@pytest.mark.parametrize("parameter", PARAMETERS, ids=str)
def test_what_is_none_of_the_values_is_refused(
    call: Any, tmp_path: Path, parameter: Parameter
) -> None:
    text = "Literal" in str(parameter.kind) or parameter.info.parser not in (None, *PATH_CHECKS)
    number = bool({int, float, tuple[int, int]} & {parameter.kind, *get_args(parameter.kind)})
    values = ["nonsense"] if text or number else []
    if number and parameter.info.min is not None:
        values.append(str(parameter.info.min - 1))
    if number and parameter.info.max is not None:
        values.append(str(parameter.info.max + 1))
    if float in (parameter.kind, *get_args(parameter.kind)):
        values += ["nan", "inf"]
    if parameter.info in get_args(options.Score):
        values.append("1")  # which no score exceeds
    others = _others(parameter, tmp_path)
    for value in values:
        said = call(*parameter.command, *others, *parameter.call(value)).refusal
        assert said.count("'") >= 2
        assert value in said or "requires 2 arguments" in said


@posix
@pytest.mark.parametrize("kind", HOSTILE)
def test_what_cannot_be_used_is_refused_in_one_line(call: Any, tmp_path: Path, kind: str) -> None:
    make, checks = HOSTILE[kind]
    (tmp_path / "bad").mkdir()
    value = make(tmp_path / "bad")
    tried = [p for p in PATHS if p.info.parser in checks]
    assert tried
    for number, parameter in enumerate(tried):
        folder = tmp_path / str(number)
        folder.mkdir()
        said = call(*parameter.command, *_others(parameter, folder), *parameter.call(value)).refusal
        assert said.count("'") >= 2, said  # names the parameter
        assert said.removesuffix("\n").isprintable()
    if kind == "loop":
        assert Path(value).is_symlink()


MISSING = """
import json, sys
from analysis.cli.main import main
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as ended:
        assert ended.code == 2, arguments
    assert "torch" not in sys.modules, arguments
"""


def test_what_is_missing_or_small_is_refused_before_torch_is_imported(tmp_path: Path) -> None:
    checks = (*INPUTS, *NAMED[1:], options.image, options.model)
    commands = [
        ["audit", "--recorded", "none"],
        ["audit", "--init", "X"],
        ["train", "--data", ".", "--out", "run"],
    ]
    commands += [[command, "--size", "31", "31"] for command in ("blocks", "latency", "bench")]
    for number, parameter in enumerate(p for p in PARAMETERS if p.info.parser in checks):
        folder = tmp_path / str(number)
        folder.mkdir()
        commands.append(
            [*parameter.command, *_others(parameter, folder), *parameter.call("none:x")]
        )
    assert len(commands) > 30
    given = [sys.executable, "-c", MISSING, json.dumps(commands)]
    done = subprocess.run(given, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (0, len(commands)), done.stderr


@posix
def test_no_permission_is_one_line(call: Any, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    closed /= "x.onnx"
    call("search")  # imports what parsing needs, which another user may not read
    root = os.geteuid() == 0
    for number, parameter in enumerate(p for p in PATHS if p.info.parser in EVERY):
        folder = tmp_path / str(number)
        folder.mkdir()
        others = _others(parameter, folder)
        if root:
            os.seteuid(65534)
        try:
            said = call(*parameter.command, *others, *parameter.call(str(closed))).refusal
            assert "Permission denied" in said
        finally:
            if root:
                os.seteuid(0)


@posix
@pytest.mark.parametrize("folder", [__file__, "/proc"])
def test_what_cannot_be_made_is_refused_before_the_work(
    call: Any, tmp_path: Path, folder: str
) -> None:
    bad = f"{folder}/new/x.onnx"
    tried = [p for p in PATHS if p.info.parser in OUTPUTS]
    assert {p.command for p in tried} == COMMANDS.keys()
    for number, parameter in enumerate(tried):
        usable = tmp_path / str(number)
        usable.mkdir()
        said = call(*parameter.command, *_others(parameter, usable), *parameter.call(bad)).refusal
        assert f"{bad}: cannot be written" in said


@posix
def test_a_file_that_holds_something_else_than_json_is_kept(call: Any, tmp_path: Path) -> None:
    """As in `detect --json *.jpg`, where the shell gives the first image to --json."""
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8\xff")
    given = [p for p in PATHS if p.info.parser is options.json_file]
    assert len(given) > 15
    for number, parameter in enumerate(given):
        folder = tmp_path / str(number)
        folder.mkdir()
        others = [*parameter.command, *_others(parameter, folder)]
        said = call(*others, *parameter.call(str(tmp_path / "x.jpg"))).refusal
        assert "x.jpg: is there and is not JSON" in said
        assert "the name of a folder" in call(*others, *parameter.call(f"{tmp_path}/new/")).refusal
    assert (tmp_path / "x.jpg").read_bytes() == b"\xff\xd8\xff"
    for name, text, code in (
        ("README.md", "[![CI](x)](y)\n", 2),
        ("pyproject.toml", "[tool]\n", 2),
        ("faces.jsonl", "{}\n{}\n", 2),
        ("bom.json", "\ufeff\n{}", 0),
        ("old.json", "[]", 0),
        ("empty", "", 0),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert call("search", "--params", 1, "--json", tmp_path / name).code == code
        assert ((tmp_path / name).read_text(encoding="utf-8") == text) == (code == 2)


@pytest.mark.parametrize(
    ("given", "file"),
    [
        ("detect --out", "faces.json"),
        ("detect --out", "faces.jsonl"),
        ("maps --out", "maps.json"),
        ("train --out", "checkpoint.pt"),
        ("widerface predict --out", "protocol.json"),
        ("widerface gallery --out", "gallery.json"),
        ("widerface track --out", "track.json"),
    ],
)
def test_a_file_of_a_folder_that_cannot_be_made_is_refused_before_the_work(
    call: Any, tmp_path: Path, given: str, file: str
) -> None:
    (tmp_path / "found" / file).mkdir(parents=True)
    *command, _ = given.split()
    (parameter,) = (p for p in PARAMETERS if (*p.command, p.name) == (*command, "out"))
    others = _others(parameter, tmp_path)
    said = call(*command, *others, *parameter.call(str(tmp_path / "found"))).refusal
    assert f"'--out': {tmp_path / 'found' / file}: a folder, not a file" in said


@pytest.mark.parametrize("made", [Path.mkdir, Path.touch])
def test_a_name_comes_before_what_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("v1", "official", "torchvision", "retinaface"):
        made(tmp_path / name)
    for text, check in (
        ("v1", options.name_or_weights),
        ("official", options.teacher),
        ("torchvision", options.name_or_ledger),
        ("retinaface", options.name_or_file),
    ):
        assert check(text) == text
    assert weights.file_of("v1") is None
    if made is Path.touch:
        assert weights.file_of("./v1") == Path("v1")


def test_two_documents_are_not_printed_as_one(call: Any, tmp_path: Path) -> None:
    json_files = {
        command: [
            p for p in PARAMETERS if p.command == command and p.info.parser is options.json_file
        ]
        for command in COMMANDS
    }
    several = {command: found for command, found in json_files.items() if len(found) > 1}
    assert ("widerface", "evaluate") in several
    for command, found in several.items():
        others = _others(found[0], tmp_path)
        said = call(*command, *others, *(each for p in found for each in p.call("-"))).refusal
        assert "--curves and --json would both be printed; give one a file" in said


def test_looking_whether_a_file_can_be_made_leaves_nothing(tmp_path: Path) -> None:
    for path in (tmp_path / "x", tmp_path / "new" / "folder" / "x", tmp_path):
        check_writable(path)
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize(
    "given",
    [
        "audit --accept --recorded {}/x.json",
        "widerface track v1 --images . --ground-truth . --history {}/x.jsonl",
    ],
)
def test_a_record_that_cannot_be_added_to_is_refused_before_the_work(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "cannot be written" in call(*given.format("/proc").split()).refusal


def test_a_network_is_exported_to_a_name_that_tells_what_it_is(call: Any, tmp_path: Path) -> None:
    said = call("export", "--weights", "v1", "--out", tmp_path / "x.txt").refusal
    assert "x.txt: must end in .onnx" in said
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize("kind", ["pipe", "full device"])
def test_what_cannot_be_written_is_one_line(call: Any, tmp_path: Path, kind: str) -> None:
    """A pipe that nobody reads is not waited for, and a full disk is no traceback."""
    make, _ = HOSTILE[kind]
    said = call("search", "--params", 1, "--json", make(tmp_path)).refusal
    assert "cannot be written" in said
