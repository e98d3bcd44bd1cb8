"""What a cluster is made of: Patroni from its own environment, etcd and HAProxy from the machine or from Debian."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ENVIRONMENT = Path(__file__).parents[3] / ".venv-ha"
PATRONI = ENVIRONMENT / "bin" / "patroni"
UNPACKED = ENVIRONMENT / "debian"
PACKAGES = {"etcd": "etcd-server", "haproxy": "haproxy"}


class Missing(Exception):
    """A program is neither here nor to be had; says what would help."""


def patroni() -> Path:
    """Raises: Missing."""
    if not PATRONI.exists():
        raise Missing("no Patroni: `make test-ha` installs it")
    return PATRONI


def find(program: str) -> tuple[Path, dict[str, str]]:
    """The program and the environment that it needs: from PATH, else from Debian's package, unpacked without root.

    Raises: Missing.
    """
    on_path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if on_path:
        return Path(on_path), dict(os.environ)
    if not UNPACKED.exists():
        _unpack()
    for folder in ("usr/bin", "usr/sbin"):
        if (UNPACKED / folder / program).exists():
            libraries = ":".join(str(path) for path in UNPACKED.glob("usr/lib/*") if path.is_dir())
            return UNPACKED / folder / program, {**os.environ, "LD_LIBRARY_PATH": libraries}
    raise Missing(f"no {program} on the PATH, and none in Debian's package {PACKAGES[program]}")


def _unpack() -> None:
    """Fetch what would be installed for both, libraries included, by apt's own signed way, and unpack it."""
    with tempfile.TemporaryDirectory(prefix="dispatch-ha-") as folder:
        would = _run("apt-get", "--simulate", "--no-install-recommends", "install", *PACKAGES.values())
        names = [line.split()[1] for line in would.splitlines() if line.startswith("Inst ")]
        _run("apt-get", "--quiet", "download", *names, cwd=folder)
        target = Path(tempfile.mkdtemp(prefix="debian-", dir=ENVIRONMENT))
        for package in Path(folder).glob("*.deb"):
            _run("dpkg", "--extract", str(package), str(target))
        target.chmod(0o755)
        target.rename(UNPACKED)


def _run(*command: str, cwd: str = "/") -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(
            f"etcd and HAProxy are not on the PATH, and Debian's cannot be fetched: {error}"
        ) from error
    if done.returncode:
        raise Missing(
            "etcd and HAProxy are not on the PATH, and Debian's cannot be fetched (apt-get update first?): "
            + done.stderr.strip()
        )
    return done.stdout
