"""What an administrator installs: the units, the examples, and a script that can be run twice and undone."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from app.settings import ConsoleSettings
from app.settings import load_settings as load_console_settings
from lvsagent.settings import AgentSettings, load_settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
UNITS = ("lvsagent.service", "piranha-gui.service")
WORST_EXPOSURE = {"lvsagent.service": 3.0, "piranha-gui.service": 2.0}


def install(destdir: Path, *options: str) -> str:
    argv = [sys.executable, str(DEPLOY / "install"), "--destdir", str(destdir), *options]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def tree(folder: Path) -> dict[str, tuple[str, bytes, int]]:
    """Every file, link and folder: its mode, its content, and when it was last written."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        target = str(path.readlink()).encode() if path.is_symlink() else content
        found[str(path.relative_to(folder))] = (stat.filemode(status.st_mode), target, status.st_mtime_ns if path.is_file() else 0)
    return found


def analyze(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", "--no-pager", *argv], capture_output=True, text=True, check=False)


@pytest.fixture
def installed_units(tmp_path: Path) -> Path:
    """The units as installed for the commands of this environment, so that what they start is there."""
    install(tmp_path, "--bin-dir", str(BIN))
    return tmp_path / "usr/local/lib/systemd/system"


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_wrong_with_a_unit(installed_units: Path, unit: str) -> None:
    done = analyze("verify", "--man=no", str(installed_units / unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", UNITS)
def test_the_exposure_of_a_unit_is_low(installed_units: Path, unit: str) -> None:
    done = analyze("security", "--offline=true", str(installed_units / unit))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stderr
    print(f"{unit}: exposure {found[1]}")
    assert float(found[1]) <= WORST_EXPOSURE[unit]


def test_installing_twice_changes_nothing(tmp_path: Path) -> None:
    assert install(tmp_path)
    first = tree(tmp_path)
    assert install(tmp_path) == ""
    assert tree(tmp_path) == first


def test_what_is_installed_is_where_the_documentation_says(tmp_path: Path) -> None:
    install(tmp_path)
    found = tree(tmp_path)
    assert {name for name, (mode, _, _) in found.items() if not mode.startswith("d")} == {
        "etc/piranha/agent.toml",
        "etc/piranha/console.toml",
        "etc/ssh/sshd_config.d/piranha.conf",
        "usr/local/lib/modules-load.d/piranha.conf",
        "usr/local/lib/systemd/system/lvsagent.service",
        "usr/local/lib/systemd/system/piranha-gui.service",
        "usr/local/lib/sysusers.d/piranha.conf",
        "usr/local/lib/tmpfiles.d/piranha.conf",
        "usr/local/sbin/lvsagent",
        "usr/local/sbin/lvsctl",
        "usr/local/sbin/piranha-gui",
        "usr/local/sbin/piranha-passwd",
        "usr/local/share/piranha/90-piranha.conf",
        "usr/local/share/piranha/agent.toml",
        "usr/local/share/piranha/console.toml",
    }
    assert {mode for mode, _, _ in found.values()} == {"drwxr-xr-x", "-rw-r--r--", "lrwxrwxrwx"}
    assert found["usr/local/sbin/lvsctl"][1] == b"/opt/piranha/bin/lvsctl"
    assert (tmp_path / "etc/sysconfig/ha").is_dir()


def test_uninstalling_leaves_nothing(tmp_path: Path) -> None:
    install(tmp_path)
    install(tmp_path, "--uninstall")
    assert tree(tmp_path) == {}


def test_an_existing_lvs_cf_and_changed_settings_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "etc/sysconfig/ha").mkdir(parents=True)
    (tmp_path / "etc/sysconfig/ha/lvs.cf").write_text("serial_no = 5\n")
    (tmp_path / "etc/piranha").mkdir()
    (tmp_path / "etc/piranha/agent.toml").write_text('node = "backup"\n')
    before = tree(tmp_path)
    install(tmp_path)
    assert before.items() <= tree(tmp_path).items()
    assert "stays" in install(tmp_path, "--uninstall")
    assert tree(tmp_path) == before
    install(tmp_path, "--uninstall", "--purge")
    assert "etc/sysconfig/ha/lvs.cf" in tree(tmp_path)
    assert "etc/piranha/agent.toml" not in tree(tmp_path)


def test_a_command_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "usr/local/sbin").mkdir(parents=True)
    (tmp_path / "usr/local/sbin/lvsctl").write_text("mine")
    assert "/usr/local/sbin/lvsctl is something else and stays" in install(tmp_path)
    install(tmp_path, "--uninstall")
    assert list(tree(tmp_path)) == ["usr", "usr/local", "usr/local/sbin", "usr/local/sbin/lvsctl"]


def test_another_place_for_the_commands_is_written_into_the_units(tmp_path: Path) -> None:
    install(tmp_path, "--prefix", "/srv/piranha")
    assert "ExecStart=/srv/piranha/bin/lvsagent run" in (tmp_path / "usr/local/lib/systemd/system/lvsagent.service").read_text()


@pytest.mark.parametrize("prefix", ["opt", "/opt/a b", '/opt/"x"', "/opt/%h", "/opt/$HOME"])
def test_a_place_that_a_unit_cannot_name_is_refused(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        install(tmp_path, "--prefix", prefix)
    assert caught.value.returncode == 2
    assert "--prefix: a whole path" in caught.value.stderr


def test_it_says_what_it_needs_when_it_is_not_root() -> None:
    program = "import os, runpy, sys; os.geteuid = lambda: 1000; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program, str(DEPLOY / "install")], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "run it as root" in done.stderr


def keys_in(example: Path) -> set[str]:
    """Every key that an example names, given or behind a comment sign."""
    return set(re.findall(r"^#?(\w+) = ", example.read_text(), re.MULTILINE))


def test_the_example_agent_toml_says_every_key_at_its_default() -> None:
    assert load_settings(DEPLOY / "agent.toml") == AgentSettings()
    assert keys_in(DEPLOY / "agent.toml") == {field.name for field in fields(AgentSettings) if field.compare}


def test_the_example_console_toml_says_every_key_at_its_default() -> None:
    assert load_console_settings(DEPLOY / "console.toml") == ConsoleSettings()
    named = keys_in(DEPLOY / "console.toml")
    assert {field.name.removeprefix("tls_") for field in fields(ConsoleSettings)} == named


def test_examples_with_every_comment_sign_taken_away_are_still_toml() -> None:
    for name in ("agent.toml", "console.toml"):
        text = re.sub(r"^#(?=\[?\w)", "", (DEPLOY / name).read_text(), flags=re.MULTILINE)
        assert tomllib.loads(text)


def test_the_users_that_are_made_are_those_of_the_settings() -> None:
    users = re.findall(r"^u (\w+)", (DEPLOY / "sysusers.d/piranha.conf").read_text(), re.MULTILINE)
    settings = AgentSettings()
    assert set(users) == {settings.socket_group, settings.check_user, settings.sync_user}
    unit = (DEPLOY / "systemd/piranha-gui.service").read_text()
    assert f"User={AgentSettings().socket_group}\n" in unit


def test_sshd_lets_the_other_directors_user_do_one_thing_and_nobody_elses_settings_change(tmp_path: Path) -> None:
    """Asked of the real sshd."""
    snippet = (DEPLOY / "sshd_config.d/piranha.conf").read_text()
    settings = AgentSettings()
    assert f"Match User {settings.sync_user}\n" in snippet
    assert f"AuthorizedKeysFile {settings.authorized_keys}\n" in snippet
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    (tmp_path / "config").write_text(f"Include {DEPLOY}/sshd_config.d/*.conf\nHostKey {tmp_path}/key\nPermitRootLogin no\n")

    def effective(user: str) -> dict[str, str]:
        argv = ["/usr/sbin/sshd", "-T", "-f", str(tmp_path / "config"), "-C", f"user={user},host=a,addr=192.0.2.1"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)

    found = effective(settings.sync_user)
    wanted = {"disableforwarding": "yes", "permittty": "no", "passwordauthentication": "no", "authenticationmethods": "publickey"}
    assert {name: found[name] for name in wanted} == wanted
    other = effective("daemon")
    assert (other["permittty"], other["permitrootlogin"], other["authorizedkeysfile"]) == (
        "yes",
        "no",
        ".ssh/authorized_keys .ssh/authorized_keys2",
    )


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to users")
def test_users_and_folders_can_be_made_from_the_files(tmp_path: Path) -> None:
    """By the real programs, below a folder."""
    install(tmp_path)
    lib = tmp_path / "usr/local/lib"
    for argv in (
        ["systemd-sysusers", f"--root={tmp_path}", str(lib / "sysusers.d" / "piranha.conf")],
        ["systemd-tmpfiles", f"--root={tmp_path}", "--create", str(lib / "tmpfiles.d" / "piranha.conf")],
    ):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    users = {line.split(":")[0]: line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    assert users["lvscheck"][6].endswith("nologin")
    assert users["lvssync"][6] == "/bin/sh"
    inbox = tmp_path / "var/lib/lvssync/inbox"
    assert (inbox.stat().st_mode & 0o777, inbox.stat().st_uid, inbox.parent.stat().st_uid) == (0o700, int(users["lvssync"][2]), 0)
    assert any(line.startswith("lvsweb:") and line.endswith(":lvssync") for line in (tmp_path / "etc/group").read_text().splitlines())
    checks = tmp_path / "var/lib/lvscheck"  # nanny reads its key and cannot change it
    assert (checks.stat().st_mode & 0o777, checks.stat().st_uid, checks.stat().st_gid) == (0o750, 0, int(users["lvscheck"][3]))
    state = tmp_path / "var/lib/piranha"
    assert (oct(state.stat().st_mode & 0o777), state.stat().st_uid) == ("0o700", int(users["lvsweb"][2]))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands' folder of an environment made as deploy/README.md says: pip's, not a checkout's."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder / "source")], check=True)
    subprocess.run([getattr(sys, "_base_executable", sys.executable), "-m", "venv", str(folder / "piranha")], check=True)
    pip = [str(folder / "piranha/bin/pip"), "install", "--quiet", "--constraint", "constraints.txt", "."]
    done = subprocess.run(pip, cwd=folder / "source", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "piranha/bin"


def test_what_pip_installs_has_every_page_and_picture_of_the_checkout(installed: Path) -> None:
    show = "import app, pathlib; print(pathlib.Path(app.__file__).parent)"
    done = subprocess.run([str(installed / "python"), "-c", show], capture_output=True, text=True, check=True, cwd=installed)
    package = Path(done.stdout.strip())
    assert package != ROOT / "app"
    tracked = subprocess.run(["git", "ls-files", "app/templates", "app/static"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = tracked.stdout.split()
    assert len(names) > 50
    assert [name for name in names if not (package.parent / name).is_file()] == []


@pytest.mark.parametrize("command", ["lvsagent", "lvsctl", "piranha-gui", "piranha-passwd"])
def test_each_command_that_pip_installs_runs(installed: Path, command: str) -> None:
    done = subprocess.run([str(installed / command), "--help"], capture_output=True, text=True, check=False, cwd=installed)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


def test_install_takes_the_commands_that_pip_made(installed: Path, tmp_path: Path) -> None:
    install(tmp_path, "--bin-dir", str(installed))
    units = (tmp_path / "usr/local/lib/systemd/system/lvsagent.service").read_text()
    assert str(installed / "lvsagent") in units
