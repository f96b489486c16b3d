"""Writing and checking files."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from afterwork import export
from afterwork.export import _json_edit
from afterwork.export._refusals import UsageError
from tests.export.support import URL, App, parse, shop

VERCEL = """{
    "$schema": "https://openapi.vercel.sh/vercel.json",
    "crons": [
        { "path": "/api/cron/gone", "schedule": "0 1 * * *" },
        { "path": "/other", "schedule": "0 2  * * *" },
        { "path": "/api/cron/nightly", "schedule": "0 0 * * *" }
    ],
    "headers": [ ],   "regions":["fra1"]
}
"""
EDITED = """{
    "$schema": "https://openapi.vercel.sh/vercel.json",
    "crons": [
        { "path": "/other", "schedule": "0 2  * * *" },
        { "path": "/api/cron/nightly", "schedule": "30 3 * * *" },
        { "path": "/api/cron/hourly", "schedule": "0 * * * *" }
    ],
    "headers": [ ],   "regions":["fra1"]
}
"""


NEW = """{
  "crons": [
    {
      "path": "/api/cron/a",
      "schedule": "0 * * * *"
    }
  ]
}"""
INLINE = """{"crons": [{"path": "/x", "schedule": "1 1 * * *"}, \
{"path": "/api/cron/a", "schedule": "0 * * * *"}]}"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def two() -> App:
    return App().cron("nightly", "30 3 * * *").every("hourly", "1h")


def test_e4_only_our_entries_of_vercel_json_are_edited() -> None:
    """E4: Other keys, the order and the formatting stay; what is right already is not touched."""
    file = Path("vercel.json")
    file.write_text(VERCEL)
    checked = two().export("vercel", "--check")
    assert checked.code == 1
    assert '+        { "path": "/api/cron/hourly", "schedule": "0 * * * *" }' in checked.out
    assert "vercel.json is not what the jobs in the code say" in checked.err
    assert file.read_text() == VERCEL
    written = two().export("vercel", "--write")
    assert (written.code, written.out, written.err) == (0, "", "wrote vercel.json\n")
    assert file.read_text() == EDITED
    again = two().export("vercel", "--write", "vercel.json")
    assert (again.code, again.err) == (0, "")
    assert two().export("vercel", "--check").code == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "{}",
            NEW,
        ),
        ('{"a": 1}', None),
        ('{"crons": []}', None),
        (
            '{"crons": [{"path": "/x", "schedule": "1 1 * * *"}]}',
            INLINE,
        ),
        ('{\r\n\t"b": true\r\n}\r\n', None),
    ],
)
def test_e4_documents_of_many_forms(before: str, after: str | None) -> None:
    """E4"""
    file = Path("vercel.json")
    file.write_text(before, newline="")
    app = App().every("a", "1h")
    assert app.export("vercel", "--write").code == 0
    text = file.read_bytes().decode()
    if after is not None:
        assert text == after
    value = json.loads(before)
    value["crons"] = [*value.get("crons", []), {"path": "/api/cron/a", "schedule": "0 * * * *"}]
    assert json.loads(text) == value
    assert app.export("vercel", "--check").code == 0
    # When the job is gone, so is its entry, and nothing else.
    assert App().export("vercel", "--write").code == 0
    value["crons"].pop()
    assert json.loads(file.read_text()) == value


@pytest.mark.parametrize("shape", ["object", "array"])
def test_e4_vercel_schedules_in_a_file(shape: str) -> None:
    """E4"""
    words = ("vercel-schedules", "--shape", shape)
    assert two().export(*words, "--write").code == 0
    document = json.loads(Path("vercel.json").read_text())
    if shape == "object":
        document["schedules"]["mine"] = {"schedule": "1 1 * * *", "path": "/x"}
    else:
        document["schedules"].insert(0, {"schedule": "1 1 * * *", "path": "/x"})
    Path("vercel.json").write_text(json.dumps(document, indent=2))
    assert two().export(*words, "--check").code == 0
    assert App().every("hourly", "2h").export(*words, "--write").code == 0
    text = Path("vercel.json").read_text()
    assert "nightly" not in text
    assert '"0 */2 * * *"' in text
    assert "/x" in text
    other = "array" if shape == "object" else "object"
    result = two().export("vercel-schedules", "--shape", other, "--write")
    assert result.code == 2
    assert f"--shape {shape}" in result.err


def test_e4_a_name_that_is_taken_is_told() -> None:
    """E4"""
    taken = {"schedules": {"hourly": {"schedule": "1 1 * * *", "path": "/x"}}}
    Path("vercel.json").write_text(json.dumps(taken))
    result = two().export("vercel-schedules", "--write")
    assert result.code == 2
    assert "'hourly' that is not ours" in result.err


def test_json_with_comments() -> None:
    text = (
        '// wrangler\n{\n  "name": "w", /* the\n worker */\n  "triggers": {\n'
        '    "crons": [\n      "0 1 * * *", // old\n    ],\n  },\n}\n'
    )
    Path("wrangler.jsonc").write_text(text)
    words = ("cloudflare", "--shape", "json", "--write", "wrangler.jsonc")
    result = two().export(*words)
    assert result.code == 2
    assert "comments inside" in result.err
    Path("wrangler.jsonc").write_text(text.replace(" // old", ""))
    assert two().export(*words).code == 0
    new = Path("wrangler.jsonc").read_text()
    assert new == text.replace(
        '"0 1 * * *", // old\n    ]', '"30 3 * * *",\n      "0 * * * *"\n    ]'
    )
    Path("new.json").unlink(missing_ok=True)
    assert two().export(*words[:-1], "new.json").code == 0
    assert json.loads(Path("new.json").read_text())["triggers"]["crons"][1] == "0 * * * *"
    Path("new.json").write_text('{"name": "w"}')
    assert two().export(*words[:-1], "new.json").code == 0
    assert json.loads(Path("new.json").read_text())["triggers"]["crons"][1] == "0 * * * *"


@pytest.mark.parametrize(
    "text", ["{", '{"a" 1}', '{"a": }', "[1", '{"a": "x', "{'a': 1}", '{"a": nope}', "[}"]
)
def test_what_is_no_json_is_told(text: str) -> None:
    Path("vercel.json").write_text(text)
    result = two().export("vercel", "--write")
    assert result.code == 2
    assert "not JSON" in result.err
    assert Path("vercel.json").read_text() == text


def test_what_is_no_object_is_told() -> None:
    with pytest.raises(UsageError, match="no JSON object"):
        _json_edit.replace_list("[]", ["crons"], [], lambda each: True)
    with pytest.raises(UsageError, match="not an object"):
        _json_edit.replace_list('{"triggers": 1}', ["triggers", "crons"], ["x"], bool)
    assert _json_edit.replace_list("{}", ["crons"], [], bool) == "{}"
    assert _json_edit.load('{"a": [1, "x", {"b": null}]}') == {"a": [1, "x", {"b": None}]}
    empty = '{\n  "crons": [\n    1\n  ]\n}'
    assert _json_edit.replace_list(empty, ["crons"], [], lambda each: True) == '{\n  "crons": []\n}'
    spaced = _json_edit.replace_list('{"c": [ 1 ]}', ["c"], [1, 2], bool)
    assert spaced == '{"c": [ 1, 2 ]}'
    tall = '{\n  "c": [\n    {\n      "path": "/a"\n    }\n  ]\n}'
    wanted = [{"path": "/a"}, {"path": "/b"}]
    assert json.loads(_json_edit.replace_list(tall, ["c"], wanted, bool)) == {"c": wanted}
    flat = '{\n  "c": [\n    {}, []\n  ]\n}'
    found = _json_edit.replace_list(flat, ["c"], [{}, [], {}], bool)
    assert json.loads(found) == {"c": [{}, [], {}]}


@pytest.mark.parametrize("target", export.targets())
def test_every_target_is_written_checked_and_brought_up_to_date(target: str) -> None:
    """Rule 6: drift between file and code is found, in both directions."""
    only = ("--only", "nightly") if target == "railway" else ()
    assert shop().export(target, "--check", *only).code == 1
    assert shop().export(target, "--write", *only).code == 0
    assert shop().export(target, "--check", *only).code == 0
    changed = App().cron("nightly", "31 3 * * *")
    assert changed.export(target, "--check").code == 1
    assert changed.export(target, "--write").code == 0
    checked = changed.export(target, "--check")
    assert (checked.code, checked.out) == (0, "")


@pytest.mark.parametrize("target", ["kubernetes", "crontab", "pg-cron", "qstash", "cloudflare"])
def test_what_others_wrote_beside_our_block_stays(target: str) -> None:
    from afterwork.export._registry import TARGETS

    comment = TARGETS[target].comment
    file = Path("file")
    file.write_text(f"{comment} before")
    assert two().export(target, "--write", "file").code == 0
    file.write_text(file.read_text() + f"{comment} after\n")
    assert App().every("hourly", "2h").export(target, "--write", "file").code == 0
    lines = file.read_text().splitlines()
    assert (lines[0], lines[-1]) == (f"{comment} before", f"{comment} after")
    assert file.read_text().count(">>> afterwork export") == 1
    assert "nightly" not in file.read_text()


@pytest.mark.parametrize("target", ["vercel", "crontab"])
def test_line_ends_stay(target: str) -> None:
    file = Path("file")
    old = '{\r\n  "a": 1\r\n}\r\n' if target == "vercel" else "# mine\r\n"
    file.write_text(old, newline="")
    assert two().export(target, "--write", "file").code == 0
    text = file.read_bytes()
    assert text.count(b"\n") == text.count(b"\r\n") > 4
    assert two().export(target, "--check", "--write", "file").code == 0


def test_files_that_are_not_ours_to_write() -> None:
    Path("file").write_text("services: []\n")
    result = two().export("render", "--write", "file")
    assert result.code == 2
    assert "a file of its own" in result.err
    Path("file").write_text("[triggers]\ncrons = []\n")
    assert "[triggers] already" in two().export("cloudflare", "--write", "file").err
    Path("file").write_text("# <<< afterwork export crontab\n")
    assert "0 opening and 1 closing" in two().export("crontab", "--write", "file").err
    Path("file").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in two().export("crontab", "--write", "file").err
    assert "is a file" in two().export("systemd", "--write", "file").err
    Path("worker.mjs").write_text("")
    words = ("cloudflare", "--shape", "worker", "--write", "worker.mjs")
    assert two().export(*words).code == 0
    assert Path("worker.mjs").read_text().startswith("// >>> afterwork")


def test_a_folder_of_units() -> None:
    folder = Path("systemd")
    assert two().export("systemd", "--write").code == 0
    names = sorted(each.name for each in folder.iterdir())
    assert names == [
        "afterwork-hourly.service",
        "afterwork-hourly.timer",
        "afterwork-nightly.service",
        "afterwork-nightly.timer",
    ]
    (folder / "afterwork-theirs.timer").write_text("[Timer]\n")
    one = App().every("hourly", "1h")
    assert one.export("systemd", "--check").code == 1
    result = one.export("systemd", "--write")
    assert "deleted systemd/afterwork-nightly.timer" in result.err
    assert len(list(folder.iterdir())) == 3
    theirs = App().every("theirs", "1h").export("systemd", "--write")
    assert theirs.code == 2
    assert "is not ours" in theirs.err


def test_a_refused_job_leaves_the_file_alone() -> None:
    app = two().cron("odd", "0 0 */2 * 5")
    result = app.export("vercel", "--write")
    assert result.code == 1
    assert "vercel.json was not written" in result.err
    assert not Path("vercel.json").exists()
    printed = app.export("vercel")
    assert "nightly" in printed.out
    assert "odd" not in printed.out
    assert "odd is not exported to Vercel Cron" in printed.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--secret-env", "my secret!"), "the name of a variable"),
        (("--zone", "Mars/Base"), "Mars/Base"),
        (("--tick", "soon"), "duration"),
        (("--shape", "round"), "no shape 'round'"),
        (("--only", "nobody"), "no such job"),
        (("--url", "https://user:hunter2@app.example.com/cron"), "secrets would show"),
        (("--url", "https://app.example.com/cron?secret=x"), "secrets would show"),
        (("--url", "app.example.com"), "has to be an address"),
        (("--url", "/cron"), "has to be an address"),
        (("--url", "https://app.example.com/$(x)"), "percent-encoded"),
    ],
)
def test_options_that_do_not_do(words: tuple[str, ...], said: str) -> None:
    result = two().export("kubernetes", *words)
    assert result.code == 2
    assert said in result.err
    assert "my secret!" not in result.err
    assert "hunter2" not in result.err


def test_a_url_is_asked_for_where_it_is_needed() -> None:
    def code(target: str, *words: str) -> tuple[int, str]:
        args, err = parse(target, *words), io.StringIO()
        args.url = None
        return export.run(two().work, args, io.StringIO(), err), err.getvalue()

    number, said = code("vercel")
    assert number == 2
    assert said.startswith("vercel needs the address of the trigger route, with the prefix")
    assert said.endswith("Add --url /cron.\n")
    assert code("github")[1].endswith("Add --url https://app.example.com/cron.\n")
    assert code("crontab")[0] == 0
    assert code("systemd")[0] == 0
    assert code("cloudflare")[0] == 0
    assert code("cloudflare", "--shape", "json")[0] == 0
    assert code("cloudflare", "--shape", "worker")[0] == 2
    assert code("kubernetes", "--image", "app:1")[0] == 0
    assert code("kubernetes")[0] == 2
    assert two().export("vercel", "--url", "/cron").code == 0
    assert two().export("vercel", "--url", "https://a.example").code == 0


def test_options_come_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERWORK_URL", "https://env.example/cron")
    monkeypatch.setenv("AFTERWORK_EXPORT_ONLY", "hourly")
    import argparse

    parser = argparse.ArgumentParser()
    export.add_arguments(parser)
    out = io.StringIO()
    assert export.run(two().work, parser.parse_args(["qstash"]), out, io.StringIO()) == 0
    assert "https://env.example/cron/hourly" in out.getvalue()
    assert "nightly" not in out.getvalue()
    assert "AFTERWORK_URL" in parser.format_help()


def test_nothing_to_export_is_said() -> None:
    result = App().export("vercel")
    assert (result.code, result.out) == (0, "")
    assert "no job with a schedule" in result.err
    assert URL not in result.err
