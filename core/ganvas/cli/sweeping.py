"""What a sweep shows: a line per running member on a terminal, every line of every member in a pipe."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ganvas.runs.sweep import Display, Member

__all__ = ["ConsoleDisplay", "summary"]


class ConsoleDisplay(Display):
    """Progress on standard error; standard output is for the summary. To be used as a context."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.running: list[Member] = []
        self.live = Live(console=self.console, auto_refresh=False, transient=True)

    @property
    def seconds(self) -> float:
        """How often a member says where it stands."""
        return 1.0 if self.console.is_terminal else 60.0

    def __enter__(self) -> ConsoleDisplay:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.live.stop()

    def started(self, member: Member) -> None:
        self.running.append(member)
        if not self.console.is_terminal:
            self._print(f"[{member.number}] {member.text}: started")

    def line(self, member: Member, line: str) -> None:
        if not self.console.is_terminal or line.startswith("warning: "):
            self._print(f"[{member.number}] {line}")

    def ended(self, member: Member) -> None:
        self.running.remove(member)
        crashed = member.status == 1 or (member.status or 0) < 0
        if self.console.is_terminal and crashed and not member.stopped:  # nothing was shown of what it said
            for line in member.said:
                self._print(f"[{member.number}] {line}")
        self._print(f"[{member.number}] {member.text}: {member.outcome}")

    def refresh(self) -> None:
        if self.live.is_started:
            self.live.update(Group(*(_progress(member) for member in self.running)), refresh=True)

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False)


def _progress(member: Member) -> Text:
    said = member.said[-1] if member.said else "starting"
    line = f"[{member.number}] {member.text}  {member.seconds:.0f} s  {said}"
    return Text(line, no_wrap=True, overflow="ellipsis")


def summary(members: Sequence[Member]) -> list[str]:
    """A line per member: its number, what it chose, how it came out."""
    width = max(len(member.text) for member in members)
    return [
        f"{member.number:>{len(str(len(members) - 1))}}  {member.text:<{width}}  {member.outcome}" for member in members
    ]
