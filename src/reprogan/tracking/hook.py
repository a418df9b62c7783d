"""The git hook that binds models to the commit that holds them: offered, never installed unasked."""

import shlex
import subprocess
import sys
from pathlib import Path

from reprogan.errors import UserError

_MARK = "# ReproGAN: publish after a commit"
SCRIPT = f"""#!/bin/sh
{_MARK}. In the background, so that git does not wait; what it says is in .reprogan/hook.log.
if git diff-tree --no-commit-id --name-only -r --root HEAD | grep -q -x 'dvc\\.lock'; then
  mkdir -p .reprogan
  nohup {shlex.quote(str(Path(sys.executable).with_name("reprogan")))} publish >.reprogan/hook.log 2>&1 </dev/null &
fi
"""


def install_hook(root: Path) -> Path:
    """Write the hook where git looks for it; its path. Raises UserError if another hook is there: it stays."""
    done = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "--git-path", "hooks/post-commit"], capture_output=True, text=True
    )
    if done.returncode:
        raise UserError(f"{root}: no git repository; expected one")
    path = root / done.stdout.strip()
    if path.exists() and _MARK not in path.read_text(encoding="utf-8", errors="replace"):
        raise UserError(f"{path}: another hook is there; expected none; add the lines of `reprogan hook` to it")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SCRIPT, encoding="utf-8")
    path.chmod(0o755)
    return path
