"""Times by hand, and the law that the next time is the first that matches."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_registry.errors import InputError
from graph_builder.timetable import Cron, Every


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1d", 86_400), ("30m", 1_800), ("1h30m", 5_400), ("2w", 1_209_600)],
)
def test_lengths(text, seconds):
    moment = datetime(2026, 11, 27, 6)
    assert Every.read(text).next_after(moment) - moment == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "d", "1", "1y", "1d x", "0m", "-1h"])
def test_what_is_no_length(text):
    with pytest.raises(InputError, match="--every"):
        Every.read(text)


# 27 November 2026 is a Friday.
@pytest.mark.parametrize(
    ("text", "moment", "wanted"),
    [
        ("0 2 * * *", "2026-11-27 01:59", "2026-11-27 02:00"),
        ("0 2 * * *", "2026-11-27 02:00", "2026-11-28 02:00"),
        ("*/15 8-9 * * *", "2026-11-27 08:46", "2026-11-27 09:00"),
        ("*/15 8-9 * * *", "2026-11-27 09:45", "2026-11-28 08:00"),
        ("0 0 * * mon", "2026-11-27 00:00", "2026-11-30 00:00"),
        ("0 0 * * 7", "2026-11-27 00:00", "2026-11-29 00:00"),
        ("0 0 1 jan *", "2026-11-27 00:00", "2027-01-01 00:00"),
        ("0 0 29 2 *", "2026-11-27 00:00", "2028-02-29 00:00"),
        # By day of the month or by weekday where both are given, as cron does.
        ("0 0 13 * fri", "2026-11-27 00:00", "2026-12-04 00:00"),
        ("0 0 13 * fri", "2026-12-11 00:00", "2026-12-13 00:00"),
        ("5,35 12 * * *", "2026-11-27 12:05", "2026-11-27 12:35"),
        ("10/20 * * * *", "2026-11-27 12:11", "2026-11-27 12:30"),
        ("@weekly", "2026-11-27 12:00", "2026-11-29 00:00"),
        ("0 0 31 12 *", "2026-12-31 00:00", "2027-12-31 00:00"),
    ],
)
def test_crontab_lines(text, moment, wanted):
    found = Cron.read(text).next_after(datetime.fromisoformat(moment))
    assert f"{found:%Y-%m-%d %H:%M}" == wanted


@pytest.mark.parametrize(
    "text",
    ["0 2 * *", "60 * * * *", "0 24 * * *", "x * * * *", "0 0 0 * *", "5-1 * * * *",
     "*/0 * * * *", "0 0 30 2 *", "0 0 * * 8", "0 0 * * * *"],
)  # fmt: skip
def test_what_is_no_crontab_line(text):
    with pytest.raises(InputError, match="--cron"):
        Cron.read(text)


@settings(max_examples=40, deadline=None)
@given(
    minute=st.integers(0, 59), hour=st.integers(0, 23), weekday=st.integers(0, 6),
    moment=st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),
)  # fmt: skip
def test_the_next_time_is_the_first_that_matches(minute, hour, weekday, moment):
    found = Cron.read(f"{minute} {hour} * * {weekday}").next_after(moment)
    by_trial = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
    by_trial = by_trial.replace(minute=minute, hour=hour)
    while by_trial <= moment or by_trial.isoweekday() % 7 != weekday:
        by_trial += timedelta(days=1)
    assert found == by_trial
