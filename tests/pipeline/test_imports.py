"""Law 3, the second half: every file of the project that a stage imports is among its deps, and none without need."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from reprogan.config import NO_UPSTREAM, TOY_FACES, load

REPOSITORY = Path(__file__).parents[2]
CODE = ("src/", "stages/")
# What only stands there so that stages run in order, or is no code.
SHARED = "code_of_"
NO_CODE = (
    "data/", "models", "samples", "scores", "metrics", "exports", "profiles", "requirements", "web/package-lock.json",
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """A stage as DVC resolves it: its name, its variant ("" for none) and its deps.

    For the file that stands for code which stages share, those of the stage that wrote it.
    """

    name: str
    variant: str
    deps: frozenset[str]


@pytest.fixture(scope="module")
def stages() -> list[Stage]:
    """All stages of dvc.yaml, resolved by DVC."""
    from dvc.repo import Repo

    with Repo(str(REPOSITORY)) as repo:
        found, shared = [], {}
        for stage in repo.index.stages:
            if stage.addressing.startswith(SHARED):
                (out,) = stage.outs
                shared[out.def_path] = {dep.def_path for dep in stage.deps} - {"stages/code.py"}
        for stage in repo.index.stages:
            name, _, variant = stage.addressing.partition("@")
            if not name.startswith(SHARED):
                deps = {file for dep in stage.deps for file in shared.get(dep.def_path, {dep.def_path})}
                found.append(Stage(name, variant, frozenset(deps) - {"params.yaml"}))
        return found


PARAMS = load(REPOSITORY / "params.yaml")


def dynamic(name: str, variant: str) -> set[str]:
    """The files that a stage loads by a name found in params.yaml, so that no import statement shows them."""
    if name in ("check", "export", "publish"):
        folders = {"check": ("models", "systems", "data/tasks")}.get(name, ("models",))
        found = [path for folder in folders for path in (REPOSITORY / "src/reprogan" / folder).glob("*.py")]
        found += [REPOSITORY / TOY_FACES / "parts.py"] if name == "check" else []
        return {str(path.relative_to(REPOSITORY)) for path in found}
    if name == "prepare_faces":
        assert PARAMS.faces.source == TOY_FACES
        return {f"{TOY_FACES}/listing.py"}
    if name == "prepare_pairs":
        return {PARAMS.pairs[variant].sources}
    if not variant:
        return set()
    if name == "reference":
        return {f"src/reprogan/models/{PARAMS.references[variant].architecture}.py"}
    block = PARAMS.variant(variant)
    of = {
        "train": [
            f"models/{block.architecture}",
            f"systems/{block.system}",
            f"losses/{block.objective['loss']}",
        ],
        "sample": [f"models/{block.architecture}"],
        "evaluate": [f"models/{block.extractor_architecture}"],
    }
    upstream = {block.upstream.code} - {NO_UPSTREAM} if name in ("train", "sample") else set()
    return upstream | {f"src/reprogan/{file}.py" for file in of[name]}


@cache
def imported(path: str) -> frozenset[str]:
    """The project's files that `path` imports itself, at its top or in a function, and the packages they are in."""
    tree = ast.parse((REPOSITORY / path).read_text())
    for node in ast.walk(tree):  # what only the type checker imports, and what hands a stage over and runs none of it
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "'REPROGAN_STAGES' in os.environ"):
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import; write it in full"
            modules = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for module in modules:
            parts = module.split(".")
            for length in range(1, len(parts) + 1):
                stem = "/".join(parts[:length])
                files = (f"src/{stem}.py", f"src/{stem}/__init__.py", f"stages/{stem}.py")
                found |= {file for file in files if (REPOSITORY / file).is_file()}
    return frozenset(found)


@cache
def closure(name: str, variant: str) -> frozenset[str]:
    """Every file of the project that a run of the stage may import."""
    reached: set[str] = set()
    waiting = {f"stages/{name}.py"} | dynamic(name, variant)
    while waiting:
        path = waiting.pop()
        reached.add(path)
        waiting |= imported(path) - reached
    return frozenset(reached)


def covered(path: str, deps: frozenset[str]) -> bool:
    return any(path == dep or path.startswith(dep + "/") for dep in deps)


def uncovered(stage: Stage) -> list[str]:
    """Files that a stage imports and does not depend on."""
    return sorted(path for path in closure(stage.name, stage.variant) if not covered(path, stage.deps))


def test_every_import_is_a_dep(stages):
    missing = {f"{stage.name}@{stage.variant}": uncovered(stage) for stage in stages}
    assert {name: files for name, files in missing.items() if files} == {}


def test_every_dep_is_there_and_needed(stages):
    """A file that no variant's stage imports would re-run the stage for nothing."""
    for name in {stage.name for stage in stages}:
        alike = [stage for stage in stages if stage.name == name]
        for dep in set.union(*(set(stage.deps) for stage in alike)):
            if dep.startswith(CODE):
                assert (REPOSITORY / dep).exists(), f"{name}: {dep}"
                users = [
                    s
                    for s in alike
                    if dep in s.deps and any(covered(p, frozenset([dep])) for p in closure(s.name, s.variant))
                ]
                assert users, f"{name} depends on {dep} and imports nothing of it"
            else:
                assert dep.startswith(NO_CODE), f"{name}: {dep}"


def test_a_dep_removed_is_noticed(stages):
    """Whichever code dep is taken out of dvc.yaml, the check above fails."""
    unnoticed, tried = [], 0
    for name in {stage.name for stage in stages}:
        alike = [stage for stage in stages if stage.name == name]
        for dep in set.union(*(set(stage.deps) for stage in alike)):
            if dep.startswith(CODE):
                tried += 1
                if not any(uncovered(Stage(s.name, s.variant, s.deps - {dep})) for s in alike):
                    unnoticed.append(f"{name}: {dep}")
    assert unnoticed == []
    assert tried > 80


def test_what_stages_load_and_read_as_they_run_is_a_dep(stages, pipeline):
    """The same at run time: modules loaded and files opened, noted by the processes of the pipeline themselves."""
    ran = set(pipeline.project.lock()["stages"])
    assert {"train@vae", "evaluate@ring_gan", "prepare_pairs@edges", "train@stackgan"} <= ran
    for stage in stages:
        name = f"{stage.name}@{stage.variant}" if stage.variant else stage.name
        if name not in ran:
            continue
        opened = (pipeline.project.root.parent / "opened" / name).read_text().split("\n")
        code = [path for path in opened if path.startswith(CODE)]
        if stage.name == "publish":  # it packs all of src/ with the model that MLflow serves
            code = [path for path in code if path.endswith(".py")]
        assert f"stages/{stage.name}.py" in code
        data = [path for path in opened if path.startswith(("data/", "models/", "samples/", "scores/", "metrics/"))]
        own = tuple(f"{folder}/{stage.variant}" for folder in ("models", "samples", "scores", "metrics"))
        data = [path for path in data if "/." not in path and not path.startswith(own)]  # its own output, still a part
        if stage.name == "reference":
            data = [path for path in data if path not in ("data/references", f"data/references/{stage.variant}.h5")]
        if stage.name.startswith("prepare_"):
            own_file = f"data/processed/{stage.variant or stage.name.removeprefix('prepare_')}.h5"
            data = [path for path in data if path not in ("data/processed", own_file) and "data/raw" not in path]
        assert [path for path in code + data if not covered(path, stage.deps)] == [], name
