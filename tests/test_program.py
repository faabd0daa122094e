"""What a person is told to type is the name of the program that is installed."""

from tests.installation import ROOT, Installation
from tvarr_backup import program


def test_in_a_checkout_it_is_manage_py(installation: Installation) -> None:
    assert (program.NAME, program.ASSETS) == ("manage.py", ROOT)
    assert "Type 'manage.py help <subcommand>'" in installation.ok("--help")


def test_no_other_module_says_the_name_by_itself() -> None:
    naming = {path.name for path in (ROOT / "tvarr_backup").rglob("*.py") if "manage.py" in path.read_text()}
    assert naming == {"program.py", "__main__.py"}
