"""The MLflow UI over the tracking store."""

import subprocess
import sys
from pathlib import Path

from reprogan.errors import UserError
from reprogan.tracking.store import connect, tracking_uri, without_secrets


def serve_ui(root: Path, port: int) -> None:
    """Serve the UI on the loopback interface until it is interrupted.

    Raises UserError if runs are kept on a server, which has a UI of its own, or if the UI cannot be started.
    """
    uri = tracking_uri(root)
    if uri.startswith(("http://", "https://")):
        address = without_secrets(uri)
        raise UserError(f"MLFLOW_TRACKING_URI is {address}: that server has its own UI; open that address in a browser")
    with connect(root):  # the database is there and of this MLflow's version before a server opens it
        pass
    print(f"MLflow UI: http://127.0.0.1:{port} (Ctrl-C ends it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", "127.0.0.1"]
    if status := subprocess.run([*command, "--port", str(port), "--workers", "1"]).returncode:
        raise UserError(f"the MLflow UI ended with status {status}; is port {port} taken? try `reprogan ui --port N`")
