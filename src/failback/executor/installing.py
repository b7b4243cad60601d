"""The unit by which the operating system keeps a home's supervisor alive, and the supervisor everything else."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from failback.executor.home import Home
from failback.model.errors import NotPermitted


@dataclass(frozen=True, slots=True)
class Unit:
    """Where the unit goes, what stands in it, and the commands that switch it on."""

    path: Path
    text: str
    next: tuple[str, ...]


def unit_for(home: Home) -> Unit:
    """The unit of this platform and user."""
    keeper = [sys.executable, "-I", "-m", "failback.targets.local.keeper", str(home.root), str(home.run_dir())]
    if sys.platform == "darwin":
        return _launchd(keeper)
    words = " ".join(f'"{word}"' if " " in word else word for word in keeper)
    system = os.geteuid() == 0
    path = Path("/etc/systemd/system") if system else Path.home() / ".config" / "systemd" / "user"
    text = f"""[Unit]
Description=failback: services of {home.root}
After=network.target

[Service]
Type=simple
ExecStart={words}
Restart=always
RestartSec=1
# Only the supervisor is ended with the unit; it ends its programs itself, in order.
KillMode=mixed
TimeoutStopSec=60
Delegate=yes

[Install]
WantedBy={"multi-user.target" if system else "default.target"}
"""
    ctl = "systemctl" if system else "systemctl --user"
    commands: tuple[str, ...] = (f"{ctl} daemon-reload", f"{ctl} enable --now failback.service")
    if not system:
        commands = (*commands, "loginctl enable-linger   # so that it runs without a login, too")
    return Unit(path / "failback.service", text, commands)


def _launchd(keeper: list[str]) -> Unit:
    arguments = "".join(f"    <string>{word}</string>\n" for word in keeper)
    path = Path.home() / "Library" / "LaunchAgents" / "dev.failback.plist"
    text = f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
  <key>Label</key><string>dev.failback</string>
  <key>ProgramArguments</key><array>
{arguments}  </array>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><true/>
</dict></plist>
"""
    return Unit(path, text, (f"launchctl load {path}",))


def write_unit(unit: Unit) -> None:
    """Writes it. Raises NotPermitted where this user may not."""
    try:
        unit.path.parent.mkdir(parents=True, exist_ok=True)
        unit.path.write_text(unit.text)
    except OSError as cause:
        raise NotPermitted(
            f"{unit.path} cannot be written ({cause.strerror}). `failback install --print` shows what belongs there.",
            path=str(unit.path),
        ) from cause
