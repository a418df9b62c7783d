"""Installed as `sitecustomize` for the pipeline's processes: notes what a stage imports and which files it reads."""

import atexit
import os
import sys

_FOLDER = os.environ.get("REPROGAN_TEST_SPY", "")


def _note() -> None:
    root = os.getcwd() + os.sep  # also of a fork: that of the repository
    opened: set[str] = set()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path, mode = os.path.abspath(os.fsdecode(arguments[0])), arguments[1]
            if path.startswith(root) and (mode is None or "r" in str(mode)):
                opened.add(path.removeprefix(root))

    def write() -> None:
        of_the_command = ("__main__", "__mp_main__")  # in a fork
        modules = [module for name, module in list(sys.modules.items()) if name not in of_the_command]
        loaded = {getattr(module, "__file__", None) or "" for module in modules} | {os.path.abspath(sys.argv[0])}
        read = {path for path in opened if not path.endswith(".py") and "__pycache__" not in path}  # that: see modules
        read.update(path.removeprefix(root) for path in loaded if path.startswith(root))
        stage = "@".join([os.path.basename(sys.argv[0]).removesuffix(".py"), *sys.argv[1:2]])
        os.makedirs(_FOLDER, exist_ok=True)
        with open(os.path.join(_FOLDER, stage), "w") as file:
            file.write("\n".join(sorted(read)))

    sys.addaudithook(hook)
    atexit.register(write)


_IS_STAGE = any(word.startswith("stages/") for word in sys.orig_argv)
_FORKS_STAGES = "repro" in sys.orig_argv and "reprogan.cli" in sys.orig_argv

if _FOLDER and _IS_STAGE and "REPROGAN_STAGES" not in os.environ:
    _note()
elif _FOLDER and _FORKS_STAGES:
    os.register_at_fork(after_in_child=_note)
