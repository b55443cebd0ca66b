"""Files to lock, in folders that others make and remove meanwhile."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from benchbed.runtime.lock import open_lock


def test_the_folder_of_a_lock_may_go_and_come_at_any_time(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "locks"

    def work(number: int) -> int:
        for _ in range(400):
            os.close(open_lock(folder / str(number)))
            (folder / str(number)).unlink()
            for path in (folder, folder.parent):
                with suppress(OSError):  # another's lock is in it, or another has removed it
                    path.rmdir()
        return number

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(work, range(3))) == [0, 1, 2]
    assert list(tmp_path.iterdir()) == []


def test_where_no_folder_can_be_made_that_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "at all")
    for path in ("file/lock", "link/lock", "link/below/lock", "link"):
        with pytest.raises(OSError, match=path.split("/")[0]):
            open_lock(tmp_path / path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "link"]
