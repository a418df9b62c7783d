"""Law 5: nothing is unpickled, anywhere in the project's code."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCES = sorted([*REPOSITORY.glob("src/**/*.py"), *REPOSITORY.glob("stages/*.py")])
PICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
SAFE_LOADERS = {"SafeLoader", "CSafeLoader", "BaseLoader", "_Yaml12Loader"}  # the last is one of them, tested below


def unpickling(code: str) -> list[str]:
    """What in a file's code unpickles or could."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [f"line {node.lineno}: imports {name}" for name in names if name.split(".")[0] in PICKLERS]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            settings = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if called == "torch.load" and settings.get("weights_only") != "True":
                found.append(f"line {node.lineno}: torch.load without weights_only=True")
            if called.split(".")[-1] in ("load", "fromfile", "loadtxt") and "allow_pickle" in settings:
                found.append(f"line {node.lineno}: {called} with allow_pickle")
            if called in ("yaml.load", "yaml.load_all"):
                loader = settings.get("Loader", ast.unparse(node.args[1]) if len(node.args) > 1 else "none")
                if loader.split(".")[-1] not in SAFE_LOADERS:
                    found.append(f"line {node.lineno}: {called} with the loader {loader}")
            if called in ("yaml.unsafe_load", "yaml.full_load", "torch.package.PackageImporter"):
                found.append(f"line {node.lineno}: {called}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_nothing_is_unpickled(path):
    assert unpickling(path.read_text()) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load(file)",
        "torch.load(file, weights_only=False)",
        "np.load(file, allow_pickle=True)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.load(text, yaml.FullLoader)",
        "yaml.unsafe_load(text)",
    ],
)
def test_the_search_finds_what_it_should(code):
    assert unpickling(code)


def test_our_yaml_loader_is_a_safe_one():
    import yaml

    from reprogan.blocks import _Yaml12Loader

    assert issubclass(_Yaml12Loader, yaml.constructor.SafeConstructor)
    with pytest.raises(yaml.YAMLError):
        yaml.load("!!python/object/apply:os.getcwd []", Loader=_Yaml12Loader)  # noqa: S506 - that is the question
