"""A registered model over HTTP: MLflow's own scoring server, in this environment, on the loopback interface."""

import os
import subprocess
import sys
from pathlib import Path

from reprogan.config import Parameters
from reprogan.errors import UserError
from reprogan.tracking import registry
from reprogan.tracking.fetch import fetched, find_version
from reprogan.tracking.store import URI_VARIABLE, connect, expect_store


def serve_model(params: Parameters, root: Path, asked: str, port: int) -> None:
    """Serve `asked`, a variant or a model of MLflow, until it is interrupted.

    Raises UserError if there is no such model, or if the server cannot be started.
    """
    expect_store(root)
    with connect(root) as tracking:
        if not asked.startswith("models:"):
            params.variant(asked)
            name = registry.registered_name(asked)
            aliases = tracking.client.get_registered_model(name).aliases
            asked = f"models:/{name}@{registry.CHAMPION if registry.CHAMPION in aliases else registry.CHALLENGER}"
        version = find_version(tracking, asked)
        uri = tracking.uri
    model = f"models:/{version.name}/{version.version}"
    with fetched(root, model):  # its files are there, and its weights those that were published
        pass
    print(f"{asked}, version {version.version}: http://127.0.0.1:{port}/invocations (Ctrl-C ends it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", model, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--env-manager", "local", "--workers", "1"]
    environment = os.environ | {URI_VARIABLE: uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    # The server starts its workers by the name `python` or `uvicorn`: those of this environment.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    try:
        status = subprocess.run(command, env=environment).returncode
    except KeyboardInterrupt:
        return
    if status:
        raise UserError(f"the server ended with status {status}; is port {port} taken? try --port")
