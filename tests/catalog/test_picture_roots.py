"""Where the local pictures of a feed are found."""

from pathlib import Path

from prodemb.catalog.picture_roots import located, picture_root, root_of_absolute


def test_where_pictures_lie(tmp_path: Path) -> None:
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    (tmp_path / "photos" / "deep" / "a.jpg").touch()
    assert picture_root(["x.jpg", "photos/deep/a.jpg"], folder=tmp_path) == tmp_path
    assert picture_root(["deep\\a.jpg"], folder=tmp_path) == tmp_path / "photos"
    assert picture_root(["/deep/a.jpg"], folder=tmp_path) == tmp_path / "photos"
    assert picture_root(["a.jpg"], folder=tmp_path) == tmp_path / "photos" / "deep"
    assert picture_root(["photos/deep/a.jpg"], folder=tmp_path / "photos") == tmp_path
    assert picture_root(["absent.jpg", "nul\0"], folder=tmp_path) is None
    assert picture_root(["https://x.y/a.jpg"], folder=tmp_path) is None


def test_absolute_paths_are_told_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    absolute = [str(tmp_path / "photos" / "a.jpg"), str(tmp_path / "photos" / "b.jpg")]
    assert picture_root(absolute, folder=tmp_path / "elsewhere") is None
    assert root_of_absolute(absolute) == tmp_path / "photos"
    assert root_of_absolute(["photos/a.jpg"]) is None


def test_a_picture_is_located(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert located("a.jpg", root=tmp_path) == tmp_path / "a.jpg"
    assert located("/a.jpg", root=tmp_path) == tmp_path / "a.jpg"
    assert located("b.jpg", root=tmp_path) is None
    assert located("https://x.y/a.jpg", root=tmp_path) is None
