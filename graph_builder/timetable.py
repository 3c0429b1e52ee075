"""When to rebuild: every so often, or by the five fields of a crontab line."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from data_registry.errors import InputError

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_FIELDS: Final = (
    ("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12),
    ("weekday", 0, 7),
)  # fmt: skip
_NAMES: Final = {
    name: number
    for names, first in (
        ("jan feb mar apr may jun jul aug sep oct nov dec", 1),
        ("sun mon tue wed thu fri sat", 0),
    )
    for number, name in enumerate(names.split(), start=first)
}
_WORDS: Final = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}  # fmt: skip
_MOST_DAYS: Final = 366 * 8
"""29 February comes after eight years at most."""


class Timetable(Protocol):
    """Says when the next run is."""

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after ``moment``, in its time zone."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """So long after the last start."""

    seconds: float

    @classmethod
    def read(cls, text: str) -> "Every":
        """Read ``30m``, ``6h``, ``1d``, ``1h30m``.

        Raises
        ------
        InputError
            It is no such length, or shorter than a second.
        """
        parts = re.findall(r"(\d+(?:\.\d+)?)([smhdw])", text.strip().lower())
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
        if "".join(f"{n}{u}" for n, u in parts) != text.strip().lower() or seconds < 1:
            raise InputError(f"--every {text!r}: write a length such as 30m, 6h or 1d")
        return cls(seconds)

    def next_after(self, moment: datetime) -> datetime:
        """Return the moment so long after."""
        return moment + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Cron:
    """The five fields of a crontab line, in local time.

    As in cron, a day matches by day of month *or* weekday where both are restricted. A
    time that the clock skips (summer time) is not made up for.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    @classmethod
    def read(cls, text: str) -> "Cron":
        """Read ``0 2 * * *``, ``*/15 8-18 * * mon-fri``, ``@daily``.

        Raises
        ------
        InputError
            It is no such line, or names a day that never comes.
        """
        words = _WORDS.get(text.strip().lower(), text).split()
        if len(words) != len(_FIELDS):
            raise InputError(
                f"--cron {text!r}: write five fields, minute hour day month weekday, "
                "e.g. '0 2 * * *'"
            )
        sets = [
            _read_field(text, word.lower(), name, low, high)
            for word, (name, low, high) in zip(words, _FIELDS, strict=True)
        ]
        weekdays = frozenset(day % 7 for day in sets[4])
        either = not words[2].startswith("*") and not words[4].startswith("*")
        made = cls(sets[0], sets[1], sets[2], sets[3], weekdays, either)
        made.next_after(datetime(2024, 1, 1))
        return made

    def next_after(self, moment: datetime) -> datetime:
        """Return the first matching minute after a moment."""
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        times = [(h, m) for h in sorted(self.hours) for m in sorted(self.minutes)]
        for _ in range(_MOST_DAYS):
            if self._is_day(day):
                for hour, minute in times:
                    found = day.replace(hour=hour, minute=minute)
                    if found > moment:
                        return found
            day = (day + timedelta(days=1)).replace(hour=0)
        raise InputError("--cron: no such day ever comes")

    def _is_day(self, day: datetime) -> bool:
        of_month = day.day in self.days
        of_week = day.isoweekday() % 7 in self.weekdays
        is_day = (of_month or of_week) if self.either_day else (of_month and of_week)
        return is_day and day.month in self.months


def _read_field(text: str, word: str, name: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in word.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            if span == "*":
                start, end = low, high
            else:
                start = _number(first)
                end = _number(last) if dash else (high if slash else start)
            width = int(step) if slash else 1
        except ValueError:
            raise InputError(f"--cron {text!r}: {name} {part!r} is no number") from None
        if not (low <= start <= end <= high) or width < 1:
            raise InputError(
                f"--cron {text!r}: {name} {part!r} lies outside {low} to {high}"
            )
        found |= set(range(start, end + 1, width))
    return frozenset(found)


def _number(word: str) -> int:
    return _NAMES[word] if word in _NAMES else int(word)
