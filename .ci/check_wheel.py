"""Check that a wheel holds every file of every package, and nothing beside them."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def packaged_files(packages: list[str]) -> set[str]:
    """The files of the packages that Git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(
        [*command, "--", *packages], cwd=ROOT, capture_output=True, check=True
    )
    names = listed.stdout.decode().split("\0")
    return {name for name in names if name and (ROOT / name).is_file()}


def problems(wheel: Path) -> list[str]:
    """What is wrong with a wheel, one sentence a problem."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    expected = packaged_files(packages)
    found = []
    for package in packages:
        for name in ("__init__.py", "py.typed"):
            if f"{package}/{name}" not in expected:
                found.append(f"{package}/{name} does not exist")

    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.endswith("/")}
        info = {name for name in held if name.split("/")[0].endswith(".dist-info")}
        metadata = {name.split("/", 1)[1]: name for name in info}
        entry_points = archive.read(metadata["entry_points.txt"]).decode()
    found += [f"{name} is not in the wheel" for name in sorted(expected - held)]
    extra = held - info - expected
    found += [f"{name} is in the wheel by mistake" for name in sorted(extra)]
    if "licenses/LICENSE" not in metadata:
        found.append("LICENSE is not in the wheel")
    for command, target in project["project"]["scripts"].items():
        if f"{command} = {target}" not in entry_points:
            found.append(f"the command {command} is not in the wheel")
    return found


def main() -> None:
    """Print what is wrong with the wheel given on the command line, and fail if so."""
    wheel = Path(sys.argv[1])
    found = problems(wheel)
    if found:
        sys.exit(f"{wheel.name}:\n" + "\n".join(f"  {line}" for line in found))
    print(f"{wheel.name} is complete")


if __name__ == "__main__":
    main()
